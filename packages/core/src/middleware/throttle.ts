import { z } from 'zod'
import type { HandlerMiddleware } from '../handling/processing.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { type Duration, toMilliseconds } from '../lib/duration.ts'
import { MessagingError } from '../lib/errors.ts'
import { durationSchema } from '../lib/retry.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import { clockSchema } from './clock-option.ts'

export interface ThrottleOptions {
  /** How many calls begin in each `per` at most. */
  readonly max: number
  readonly per: Duration
  /** For tests. Default: the process's. */
  readonly clock?: Clock
}

const optionsSchema = lazily(() =>
  z.strictObject({
    max: z.number().positive(),
    per: durationSchema()
      .transform((value) => toMilliseconds(value))
      .refine((value) => value > 0, 'expected more than 0'),
    clock: clockSchema(),
  }),
)

/**
 * Spreads handler calls evenly: with `{ max: 50, per: '1s' }` one begins every 20 ms at most, in this process, in all consumers
 * that share the middleware. A call that waits keeps its delivery, one of the consumer's `concurrency`, and its time counts
 * for the `timeout` of the consumer: so it suits waits of seconds, to go easy on a service.
 *
 * ```ts
 * consumer.use(throttle({ max: 50, per: '1s' }))
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 */
export function throttle(options: ThrottleOptions): HandlerMiddleware {
  const { max, per, clock } = parseOptions(optionsSchema(), options, 'throttle middleware')
  const intervalMs = per / max
  let nextAt = Number.NEGATIVE_INFINITY
  return async ({ message, signal }, next) => {
    const now = clock.monotonic()
    const startAt = Math.max(now, nextAt)
    nextAt = startAt + intervalMs
    // Timers are no more precise: calls closer together than that even out.
    if (startAt - now >= 1) await sleep(clock, startAt - now, signal)
    // Its delivery is no longer ours, or the consumer stops.
    if (signal.aborted) {
      throw new MessagingError('aborted', `${message.type} ${message.id} was not handled: it was throttled`, {
        retryable: true,
        cause: signal.reason,
      })
    }
    await next()
  }
}
