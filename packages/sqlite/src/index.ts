export {
  type Database,
  type DatabaseIdempotencyStore,
  type Dialect,
  type Failure,
  type FailureEvents,
  type IdempotencyStoreOptions,
  Inbox,
  type InboxOptions,
  type Marked,
  type Migration,
  type Once,
  type Queries,
  type Transaction,
} from '@waybill/database'
export type { SqliteOptions } from './options.ts'
export { sqlite } from './sqlite.ts'
