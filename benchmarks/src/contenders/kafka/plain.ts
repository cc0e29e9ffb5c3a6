import { eachMessage } from './each-message.ts'

export const contender = eachMessage({
  idempotent: false,
  guarantees:
    'acks from all in-sync replicas, not idempotent: a retry may duplicate or reorder. Handlers one at a time; offsets committed after each fetch.',
  works: 'abcdegh',
})
