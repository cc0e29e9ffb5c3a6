import { type Duration, toMilliseconds } from './duration.ts'
import { MessagingError } from './errors.ts'

/**
 * Throw it in a handler to get the message back after `delay`, whatever the retry policy's backoff says.
 *
 * ```ts
 * if (response.status === 429) throw new RetryAfter('30s', 'the bank is rate limiting us')
 * ```
 */
export class RetryAfter extends MessagingError {
  /** The duration as given, such as `'30s'` or milliseconds. */
  readonly delay: Duration

  /** @throws {ConfigurationError} when the delay is not a duration. */
  constructor(delay: Duration, message = `Retry after ${delay}`, options: { readonly cause?: unknown } = {}) {
    toMilliseconds(delay, 'delay')
    super('retry-after', message, { ...options, retryable: true })
    this.delay = delay
  }
}
