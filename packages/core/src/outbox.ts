/**
 * For stores that keep messages until a relay sends them: an outbox in a database. Messages are checked when they are
 * stored, exactly as `send` would, and sent later by any process.
 */
export {
  type CheckOptions,
  checkForLater,
  type LaterOptions,
  type Outgoing,
  type StoredMessage,
} from './sending/check-for-later.ts'
export { definitionOfStored, type StoredSend, sendStored } from './sending/send-stored.ts'
