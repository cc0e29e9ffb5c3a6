import { z } from 'zod'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import type { Clock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { MessagingError } from '../lib/errors.ts'
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
    per: someMillisecondsSchema(),
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
  const turns = new EvenTurns(clock, per / max)
  return async ({ message, signal }, next) => {
    await turns.take(signal)
    // Its delivery is no longer ours, its time is over, or the consumer stops.
    if (signal.aborted) {
      throw new MessagingError('aborted', `${message.type} ${message.id} was not handled: it was throttled`, {
        retryable: true,
        cause: signal.reason,
      })
    }
    await next()
  }
}

// Timers are no more precise: calls closer together than that even out.
const precisionMs = 1

/**
 * Turns at even intervals, in the order asked for. The turn of a call that gives up goes to the next one: if it were lost,
 * calls that time out while they wait would keep all others waiting.
 */
class EvenTurns {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #waiting = new Set<() => void>()
  #nextAt = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  /** Resolves when it is the caller's turn, or the signal fires. */
  take(signal: AbortSignal): Promise<void> | undefined {
    if (signal.aborted) return undefined
    if (this.#waiting.size === 0 && this.#waitMs() < precisionMs) {
      // Time in which nothing came is not made up for.
      this.#nextAt = Math.max(this.#nextAt, this.#clock.monotonic()) + this.#intervalMs
      return undefined
    }
    return new Promise((resolve) => {
      const begin = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#waiting.delete(begin)
        if (this.#waiting.size === 0) this.#disarm()
        resolve()
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(begin)
      this.#arm()
    })
  }

  #waitMs(): number {
    return this.#nextAt - this.#clock.monotonic()
  }

  #arm(): void {
    this.#cancel ??= this.#clock.after(Math.max(0, this.#waitMs()), () => {
      this.#cancel = undefined
      this.#begin()
    })
  }

  #disarm(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #begin(): void {
    for (const begin of this.#waiting) {
      if (this.#waitMs() >= precisionMs) break
      this.#waiting.delete(begin)
      this.#nextAt += this.#intervalMs
      begin()
    }
    if (this.#waiting.size > 0) this.#arm()
  }
}
