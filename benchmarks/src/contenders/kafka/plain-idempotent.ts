import { eachMessage } from './each-message.ts'

export const contender = eachMessage({
  idempotent: true,
  guarantees: 'Idempotent, acks from all in-sync replicas, one request under way; it consumes as plain does.',
  works: 'ac',
})
