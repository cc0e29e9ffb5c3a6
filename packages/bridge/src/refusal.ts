import { type ErrorCode, MessagingError } from '@waybill/core'

/** What is wrong with the message itself; everything else may be mended at the target, and the same message then passes. */
const aboutTheMessage: ReadonlySet<ErrorCode> = new Set([
  'too-large',
  'unsupported',
  'invalid-message',
  'rejected',
])

/** Whether the target will never take the message, however often it is sent. */
export function isRefusal(error: unknown): error is MessagingError {
  return MessagingError.is(error) && !error.retryable && aboutTheMessage.has(error.code)
}
