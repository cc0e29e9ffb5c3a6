import { z } from 'zod'
import { AttemptContext } from '../deliveries/handler-context.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import type { Clock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { MessagingError } from '../lib/errors.ts'
import { lazily, parseOptions, withFields } from '../lib/validation.ts'
import { clockSchema } from './clock-option.ts'

export interface TimeoutOptions {
  /** For tests. Default: the process's. */
  readonly clock?: Clock
}

const optionsSchema = lazily(() =>
  z.strictObject({
    duration: someMillisecondsSchema(),
    clock: clockSchema(),
  }),
)

/**
 * Ends attempts that take too long: `context.signal` fires, the attempt has failed, and the retry policy decides. A handler that
 * ignores its signal keeps running, but its outcome is ignored. It limits what is inside of it, the handler and the middleware
 * added after it; the `timeout` of consumers and handlers limits all middleware too.
 *
 * ```ts
 * consumer.use(timeout('30s'))
 * ```
 *
 * @throws {ConfigurationError} when it is not a duration above 0.
 */
export function timeout(duration: Duration, options: TimeoutOptions = {}): HandlerMiddleware {
  const { duration: limitMs, clock } = parseOptions(
    optionsSchema(),
    withFields(options, { duration }),
    'timeout middleware',
  )
  return (context, next) =>
    new Promise((resolve, reject) => {
      const cancel = clock.after(limitMs, () => {
        const what = `Handling ${context.message.type} took longer than ${limitMs} ms`
        const error = new MessagingError('timeout', what, { retryable: true })
        AttemptContext.abort(context, error)
        reject(error)
      })
      next().finally(cancel).then(resolve, reject)
    })
}
