import { z } from 'zod'
import { type Clock, systemClock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { functionSchema, hasFunctions, lazily } from '../lib/validation.ts'
import type { Message } from '../messages/message.ts'

/** One take of a rate limit. */
export interface RateLimitTake {
  /** Which limit: topic, group and handler. */
  readonly name: string
  /** What the limit counts apart; empty when it counts all messages together. */
  readonly key: string
  readonly max: number
  readonly perMs: number
}

/**
 * Counts what a rate limit has let through, for all who share it. In the memory of this process by default;
 * `@waybill/adapter-redis` has one for all members of a group.
 *
 * @example
 * const store: RateLimitStore = {
 *   take: async ({ name, key, max, perMs }) => Number(await redis.evalsha(sha, 1, `${name}:${key}`, max, perMs)),
 * }
 */
export interface RateLimitStore {
  /**
   * Takes one if fewer than `max` were taken in the last `perMs` milliseconds, in one step, and answers 0; else in how many
   * milliseconds to ask again. While it rejects, does not answer within 10 s, or answers no number, nothing is let through.
   */
  take(take: RateLimitTake): number | Promise<number>
}

export interface RateLimitOptions<Handled extends Message = Message> {
  /** How many handler calls start within any stretch of `per`. */
  readonly max: number
  readonly per: Duration
  /** Counts apart what has another answer: `({ data }) => data.tenant`, of the data as it travelled. Default: all together. */
  by?(message: Handled): string | undefined
  /** Default: one in the memory of this process. */
  readonly store?: RateLimitStore
}

export const rateLimitSchema = lazily(() =>
  z.strictObject({
    max: z.int().min(1).max(1_000_000),
    per: someMillisecondsSchema(),
    by: functionSchema().optional(),
    store: z
      .custom<RateLimitStore>(
        (value) => hasFunctions(value, ['take']),
        'expected a rate limit store: an object with take',
      )
      .optional(),
  }),
)

export type ParsedRateLimit = z.output<ReturnType<typeof rateLimitSchema>>

// From how many keys on those that are full again are forgotten.
const sweepFrom = 1000

interface Taken {
  /** A ring: when the last `max` were taken. */
  readonly times: number[]
  next: number
  readonly perMs: number
}

/**
 * Remembers in this process when the last `max` were taken.
 *
 * ```ts
 * const store = memoryRateLimitStore()
 * consumer.on(OrderPlaced, ship, { rateLimit: { max: 50, per: '1s', store } })
 * ```
 *
 * @param options `clock`: for tests; default: the process's.
 */
export function memoryRateLimitStore({
  clock = systemClock,
}: {
  readonly clock?: Pick<Clock, 'monotonic'>
} = {}): RateLimitStore {
  const taken = new Map<string, Taken>()
  let sweepAt = sweepFrom
  const sweep = (now: number) => {
    for (const [id, { times, next, perMs }] of taken) {
      const latest = times.at(next - 1)
      if (latest === undefined || now - latest >= perMs) taken.delete(id)
    }
    // Otherwise many keys that are in use would be looked through for each new one.
    sweepAt = Math.max(sweepFrom, 2 * taken.size)
  }
  return {
    take({ name, key, max, perMs }) {
      const now = clock.monotonic()
      const id = `${name.length}:${name}${key}`
      let known = taken.get(id)
      if (known === undefined || known.perMs !== perMs) {
        if (taken.size >= sweepAt) sweep(now)
        known = { times: [], next: 0, perMs }
        taken.set(id, known)
      }
      const oldest = known.times[known.next % max]
      if (oldest !== undefined && known.times.length >= max && now - oldest < perMs)
        return perMs - (now - oldest)
      known.times[known.next % max] = now
      known.next = (known.next + 1) % max
      return 0
    },
  }
}
