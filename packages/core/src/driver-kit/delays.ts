/**
 * Delays of any length from what a broker offers: a longest delay (hops), a few fixed delays used one after the other
 * (tiers), or fixed delays that double and add up (levels). None of them ever ends early. All times are in milliseconds.
 */

/** The next hop of a delay on a broker that has a longest delay. */
export interface Hop {
  readonly waitMs: number
  /** What is left to wait afterwards; 0 when this hop is the last. */
  readonly remainingMs: number
}

/**
 * The next hop of a delay. `unitMs` (1) is the unit that the broker counts in.
 *
 * @example
 * // SQS: whole seconds, 15 minutes at most.
 * planHop(3_600_000, { longestMs: 900_000, unitMs: 1000 }) // { waitMs: 900_000, remainingMs: 2_700_000 }
 */
export function planHop(
  delayMs: number,
  { longestMs, unitMs = 1 }: { readonly longestMs: number; readonly unitMs?: number },
): Hop {
  if (delayMs <= longestMs) return { waitMs: Math.ceil(delayMs / unitMs) * unitMs, remainingMs: 0 }
  const waitMs = Math.floor(longestMs / unitMs) * unitMs
  return { waitMs, remainingMs: delayMs - waitMs }
}

/**
 * The index of the longest tier that ends at least `marginMs` before the delay is over; 0 if none does. Tiers ascend.
 *
 * @example
 * planTier(45_000, [1000, 6000, 40_000], 1000) // 2
 */
export function planTier(remainingMs: number, tiersMs: readonly number[], marginMs: number): number {
  return Math.max(
    0,
    tiersMs.findLastIndex((tierMs) => tierMs <= remainingMs - marginMs),
  )
}

export interface Levels {
  /** Of the lowest level; each further level lasts twice as long as the one below. */
  readonly unitMs: number
  readonly count: number
}

export interface LevelPlan {
  /** Whether the message waits in each level, from the bottom up to the topmost in which it does. */
  readonly waits: readonly boolean[]
  /** What is left to wait after all of them. */
  readonly remainingMs: number
}

/**
 * How many levels it takes for delays up to this one: at least 1, at most `most`.
 *
 * @example
 * levelCount(300_000, { unitMs: 1000, most: 27 }) // 8
 */
export function levelCount(
  longestDelayMs: number,
  { unitMs, most }: { readonly unitMs: number; readonly most: number },
): number {
  return Math.min(most, Math.max(1, Math.floor(Math.log2(longestDelayMs / unitMs + 1))))
}

/**
 * The levels that a delay above 0 passes through.
 *
 * @example
 * planLevels(5000, { unitMs: 1000, count: 10 }).waits // [true, false, true]: 1 s and 4 s
 */
export function planLevels(delayMs: number, { unitMs, count }: Levels): LevelPlan {
  const units = Math.min(2 ** count - 1, Math.ceil(delayMs / unitMs))
  const waits: boolean[] = []
  for (let level = 0; units >= 2 ** level; level += 1) waits.push(Math.floor(units / 2 ** level) % 2 === 1)
  return { waits, remainingMs: Math.max(0, Math.ceil(delayMs - units * unitMs)) }
}

/**
 * How long a level lasts, in milliseconds. The lowest level is 0.
 *
 * @example
 * levelMs(3, 1000) // 8000
 */
export function levelMs(level: number, unitMs: number): number {
  return Math.ceil(unitMs * 2 ** level)
}
