/**
 * How many deliveries a consumer holds. No other consumer gets those, so it holds no more than it handles in a moment:
 * the number doubles while as many go through in `quickMs`, up to `most`, and halves, down to `least`, when they take
 * `slowMs`.
 */
export class Prefetch {
  readonly #least: number
  readonly #most: number
  #size: number
  #since: number
  #received = 0

  constructor(least: number, most: number, now: number) {
    this.#least = least
    this.#most = most
    this.#size = least
    this.#since = now
  }

  get size(): number {
    return this.#size
  }

  /** Tells of deliveries that came; true when the size is another one now. */
  add(count: number, now: number): boolean {
    this.#received += count
    if (this.#received < this.#size) return false
    const before = this.#size
    const elapsedMs = now - this.#since
    if (elapsedMs < quickMs) this.#size = Math.min(before * 2, this.#most)
    else if (elapsedMs > slowMs) this.#size = Math.max(Math.floor(before / 2), this.#least)
    this.#received = 0
    this.#since = now
    return this.#size !== before
  }
}

const quickMs = 50

// Far enough from `quickMs` that a steady flow does not swing between two sizes.
const slowMs = 200
