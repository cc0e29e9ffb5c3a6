import type { Clock } from '../lib/clock.ts'

/** Keys and until when they are remembered. The oldest go first, so that neither time nor traffic makes it grow. */
export class SeenInMemory {
  readonly #clock: Clock
  readonly #max: number
  readonly #until = new Map<string, number>()

  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#max = max
  }

  get size(): number {
    return this.#until.size
  }

  has(key: string): boolean {
    const until = this.#until.get(key)
    return until !== undefined && until > this.#clock.monotonic()
  }

  add(key: string, windowMs: number): void {
    const now = this.#clock.monotonic()
    this.#until.delete(key)
    this.#until.set(key, now + windowMs)
    for (const [oldest, until] of this.#until) {
      if (until > now && this.#until.size <= this.#max) return
      this.#until.delete(oldest)
    }
  }
}
