import type { Clock } from '../lib/clock.ts'
import { Heap } from '../lib/heap.ts'

/** A deadline that is watched. */
export interface Deadline {
  readonly at: number
  readonly expire: () => void
  /** In the heap. */
  place: number
}

/**
 * Watches any number of deadlines with one timer: one timer per message costs more than the message. A heap, so that
 * adding and removing one costs the same among a hundred thousand as among a hundred.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #heap = new Heap<Deadline>(
    (one, other) => one.at < other.at,
    (deadline, place) => {
      deadline.place = place
    },
  )
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `at` is by the clock's monotonic reading; one that is infinite is never reached. */
  add(at: number, expire: () => void): Deadline {
    const deadline: Deadline = { at, expire, place: Heap.nowhere }
    if (!Number.isFinite(at)) return deadline
    this.#heap.add(deadline)
    this.#watch(at)
    return deadline
  }

  remove(deadline: Deadline): void {
    this.#heap.removeAt(deadline.place)
  }

  /** Cancels the timer. */
  close(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  // The alarm stays when its deadline is removed: it finds nothing due, and is set to the next one.
  #watch(at: number): void {
    if (this.#alarm !== undefined && this.#alarm.at <= at) return
    this.#alarm?.cancel()
    const cancel = this.#clock.after(Math.max(0, at - this.#clock.monotonic()), () => this.#onAlarm(), {
      background: true,
    })
    this.#alarm = { at, cancel }
  }

  #onAlarm(): void {
    this.#alarm = undefined
    const now = this.#clock.monotonic()
    let { first } = this.#heap
    for (; first !== undefined && first.at <= now; first = this.#heap.first) {
      this.#heap.take()
      first.expire()
    }
    if (first !== undefined) this.#watch(first.at)
  }
}
