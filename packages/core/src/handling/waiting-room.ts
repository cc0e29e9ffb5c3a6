import type { Clock } from '../lib/clock.ts'

// How soon what found no room comes again at the earliest, and how late at the latest.
const shortestDelayMs = 1000
const longestDelayMs = 300_000

// From how many keys on those whose turn has passed are forgotten.
const sweepFrom = 1000

/**
 * How many deliveries wait at a gate, with room left for keys that have none here yet, and when those should come again that
 * found no room.
 */
export class WaitingRoom {
  readonly #clock: Clock
  readonly #byKey = new Map<string, number>()
  /** When the last of each key that was turned away should come. */
  readonly #turns = new Map<string, number>()
  #count = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `most`: how many may wait at once. A key gets at most half of the room that is left, so that a flood of one leaves some for the next. */
  enter(key: string, most: number): boolean {
    const own = this.#byKey.get(key) ?? 0
    if (own > 0 && own >= most - this.#count) return false
    if (this.#count >= most) return false
    this.#count += 1
    this.#byKey.set(key, own + 1)
    return true
  }

  leave(key: string): void {
    this.#count -= 1
    const left = (this.#byKey.get(key) ?? 1) - 1
    if (left === 0) this.#byKey.delete(key)
    else this.#byKey.set(key, left)
  }

  /**
   * After how long the next one that is turned away should come: one after the other as fast as they can be handled, so that
   * a backlog is not fetched again and again. `spacingMs`: how long one of the key takes; `atLeastMs`: before that none can.
   */
  nextDelay(key: string, spacingMs: number, atLeastMs: number): number {
    const now = this.#clock.monotonic()
    const earliest = now + Math.max(shortestDelayMs, atLeastMs)
    const turn = Math.max(earliest, (this.#turns.get(key) ?? 0) + spacingMs)
    const latest = Math.max(earliest, now + longestDelayMs)
    if (turn > latest) return (latest - now) * (0.5 + Math.random() / 2)
    if (this.#turns.size > sweepFrom) this.#sweep(now)
    this.#turns.set(key, turn)
    return (turn - now) * (1 + Math.random() / 10)
  }

  #sweep(now: number): void {
    for (const [key, turn] of this.#turns) if (turn <= now) this.#turns.delete(key)
  }
}
