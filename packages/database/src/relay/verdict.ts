import { type ErrorCode, MessagingError } from '@waybill/core/driver'

// Something around the message is wrong, which may pass or be mended, and would be for every other message.
const surroundings: ReadonlySet<ErrorCode> = new Set([
  'adapter-missing',
  'adapter-mismatch',
  'connection-failed',
  'disconnected',
  'access-denied',
  'topology-missing',
  'topology-mismatch',
  'throttled',
  'timeout',
  'aborted',
  'closed',
])

/** Whether an error says as much about every other message as about the one that it came from. */
export function isOfSurroundings(error: unknown): boolean {
  return MessagingError.is(error) && surroundings.has(error.code)
}

/**
 * Whether a message that could not be sent never will: then it is set aside. An error of the surroundings never does that, nor
 * at once one that is not Waybill's, such as one that a middleware throws.
 */
export function isRefusedForGood(error: unknown): boolean {
  return MessagingError.is(error) && !error.retryable && error.fate !== 'unknown' && !isOfSurroundings(error)
}
