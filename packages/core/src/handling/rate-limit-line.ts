import type { Clock } from '../lib/clock.ts'
import { Heap } from '../lib/heap.ts'

interface Waiter {
  /** Who came first keeps its place, also when it has to wait again. */
  readonly ticket: number
  readonly wake: () => void
  isGone: boolean
}

/** What waits for one key of a rate limit: let go one by one, as fast as the rate allows, so that few ask in vain. */
export class RateLimitLine {
  readonly #clock: Clock
  readonly #spacingMs: number
  readonly #onEmpty: () => void
  readonly #waiting = new Heap<Waiter>((one, other) => one.ticket < other.ticket)
  readonly #tickets = new WeakMap<AbortSignal, number>()
  #nextTicket = 0
  #gone = 0
  #openAt = Number.NEGATIVE_INFINITY
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock, spacingMs: number, onEmpty: () => void) {
    this.#clock = clock
    this.#spacingMs = spacingMs
    this.#onEmpty = onEmpty
  }

  /** How long one who came now would wait. */
  get expectedMs(): number {
    return (
      Math.max(0, this.#openAt - this.#clock.monotonic()) +
      (this.#waiting.size - this.#gone) * this.#spacingMs
    )
  }

  /** `over` stands for the one who waits. Resolves when it is its turn, or the signal fires. */
  wait(waitMs: number, over: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (over.aborted) return resolve()
      const ticket = this.#tickets.get(over) ?? this.#nextTicket++
      this.#tickets.set(over, ticket)
      const leave = () => {
        waiter.isGone = true
        this.#gone += 1
        this.#tidy()
        resolve()
      }
      const wake = () => {
        over.removeEventListener('abort', leave)
        resolve()
      }
      const waiter: Waiter = { ticket, wake, isGone: false }
      over.addEventListener('abort', leave, { once: true })
      this.#waiting.add(waiter)
      this.#openAt = Math.max(this.#openAt, this.#clock.monotonic() + waitMs)
      this.#schedule()
    })
  }

  #schedule(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#waiting.size === 0) {
      this.#onEmpty()
      return
    }
    const delayMs = Math.max(0, this.#openAt - this.#clock.monotonic())
    this.#cancelTimer = this.#clock.after(delayMs, () => this.#letGo())
  }

  #letGo(): void {
    const now = this.#clock.monotonic()
    // Timers are late, and no more precise than a millisecond: several may be due.
    const due = Math.max(1, Math.floor((now - this.#openAt) / this.#spacingMs) + 1)
    this.#openAt = now + this.#spacingMs
    for (let count = 0; count < due; ) {
      const next = this.#waiting.take()
      if (next === undefined) break
      if (next.isGone) {
        this.#gone -= 1
        continue
      }
      next.wake()
      count += 1
    }
    this.#schedule()
  }

  /** Of many that have given up nothing is kept. */
  #tidy(): void {
    if (this.#gone * 2 < this.#waiting.size) return
    this.#waiting.remove(({ isGone }) => isGone)
    this.#gone = 0
    this.#schedule()
  }
}
