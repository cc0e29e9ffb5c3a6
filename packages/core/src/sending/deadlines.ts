import type { Clock } from '../lib/clock.ts'

/** A deadline that is watched; `index` is its place in the heap. */
export interface Deadline {
  readonly at: number
  readonly expire: () => void
  index: number
}

const nowhere = -1

/**
 * Watches any number of deadlines with one timer: one timer per message costs more than the message. A heap, so that
 * adding and removing one costs the same among a hundred thousand as among a hundred.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #heap: Deadline[] = []
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `at` is by the clock's monotonic reading; one that is infinite is never reached. */
  add(at: number, expire: () => void): Deadline {
    const deadline: Deadline = { at, expire, index: nowhere }
    if (!Number.isFinite(at)) return deadline
    this.#rise(deadline, this.#heap.length)
    this.#watch(at)
    return deadline
  }

  remove(deadline: Deadline): void {
    const { index } = deadline
    if (index === nowhere) return
    deadline.index = nowhere
    const last = this.#heap.pop()
    if (last === undefined || last === deadline) return
    // The last one takes the gap, and moves to where it belongs.
    const parent = this.#heap[(index - 1) >> 1]
    if (index > 0 && parent !== undefined && last.at < parent.at) this.#rise(last, index)
    else this.#sink(last, index)
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
    let first = this.#heap[0]
    for (; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.remove(first)
      first.expire()
    }
    if (first !== undefined) this.#watch(first.at)
  }

  #rise(deadline: Deadline, from: number): void {
    let index = from
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = this.#heap[above]
      if (parent === undefined || parent.at <= deadline.at) break
      this.#put(parent, index)
      index = above
    }
    this.#put(deadline, index)
  }

  #sink(deadline: Deadline, from: number): void {
    let index = from
    for (;;) {
      const left = 2 * index + 1
      const [one, other] = [this.#heap[left], this.#heap[left + 1]]
      const least = one !== undefined && other !== undefined && other.at < one.at ? other : one
      if (least === undefined || least.at >= deadline.at) break
      const below = least.index
      this.#put(least, index)
      index = below
    }
    this.#put(deadline, index)
  }

  #put(deadline: Deadline, index: number): void {
    this.#heap[index] = deadline
    deadline.index = index
  }
}
