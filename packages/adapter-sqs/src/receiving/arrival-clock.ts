import type { Clock } from '@waybill/core/driver'

const everyMs = 250

/** How late two ticks may be on a busy machine before the event loop is taken to have stood still. */
const lateMs = 1000

/**
 * When an answer came that is read now. While a handler blocks the event loop, or the process is suspended, answers wait in
 * their sockets, and the leases of what they brought run. Nothing tells when they came, so it is the latest moment at which
 * the loop was seen to go on.
 */
export class ArrivalClock {
  readonly #clock: Clock
  #users = 0
  /** The last tick, and the one before: the last may be that after the standstill, whose answers are read next. */
  #last = 0
  #before = 0
  #cancel: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** An answer is awaited. */
  start(): void {
    this.#users += 1
    if (this.#users > 1) return
    this.#last = this.#clock.monotonic()
    this.#before = this.#last
    this.#schedule()
  }

  /** An answer is no longer awaited. */
  stop(): void {
    this.#users -= 1
    if (this.#users === 0) this.#cancel?.()
  }

  /** The earliest moment at which an answer can have come that is read now; now, unless the loop stood still. */
  now(): number {
    const now = this.#clock.monotonic()
    return now - this.#before > 2 * everyMs + lateMs ? this.#before : now
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(
      everyMs,
      () => {
        this.#before = this.#last
        this.#last = this.#clock.monotonic()
        this.#schedule()
      },
      { background: true },
    )
  }
}
