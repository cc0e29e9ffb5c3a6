import { z } from 'zod'
import type { Clock } from '../lib/clock.ts'
import { type Duration, toMilliseconds } from '../lib/duration.ts'
import { durationSchema } from '../lib/retry.ts'
import { functionSchema, lazily } from '../lib/validation.ts'
import type { Message } from '../messages/message.ts'

/** One take of a rate limit. */
export interface RateLimitTake {
  /** Which limit: topic, group and handler, and the key if there is one. */
  readonly name: string
  readonly max: number
  readonly perMs: number
}

/**
 * Counts what a rate limit has let through, for all who share it. In the memory of this process by default;
 * `@waybill/adapter-redis` has one for all members of a group.
 *
 * @example
 * const store: RateLimitStore = { take: async ({ name, max, perMs }) => Number(await redis.evalsha(sha, 1, name, max, perMs)) }
 */
export interface RateLimitStore {
  /**
   * Takes one if fewer than `max` were taken in the last `perMs` milliseconds, in one step, and answers 0; else in how many
   * milliseconds to ask again. While it rejects, nothing is let through.
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
    per: durationSchema()
      .transform((value) => toMilliseconds(value))
      .refine((value) => value > 0, 'expected more than 0'),
    by: functionSchema().optional(),
    store: z
      .custom<RateLimitStore>(
        (value) =>
          typeof value === 'object' && value !== null && typeof Reflect.get(value, 'take') === 'function',
        'expected a rate limit store: an object with take',
      )
      .optional(),
  }),
)

export type ParsedRateLimit = z.output<ReturnType<typeof rateLimitSchema>>

// From how many names on those that are full again are forgotten.
const sweepFrom = 1000

/** Remembers in this process when the last `max` were taken. */
export function memoryRateLimitStore(clock: Pick<Clock, 'monotonic'>): RateLimitStore {
  const taken = new Map<string, { readonly times: number[]; next: number; perMs: number }>()
  let sweepAt = sweepFrom
  const sweep = (now: number) => {
    for (const [name, { times, perMs }] of taken) {
      if (times.every((time) => now - time >= perMs)) taken.delete(name)
    }
    // So that it costs each take a constant share, however many names there are.
    sweepAt = Math.max(sweepFrom, 2 * taken.size)
  }
  return {
    take({ name, max, perMs }) {
      const now = clock.monotonic()
      const known = taken.get(name) ?? { times: [], next: 0, perMs }
      const oldest = known.times[known.next]
      if (oldest !== undefined && known.times.length >= max && now - oldest < perMs)
        return perMs - (now - oldest)
      if (taken.size > sweepAt) sweep(now)
      known.times[known.next] = now
      known.next = (known.next + 1) % max
      taken.set(name, known)
      return 0
    },
  }
}
