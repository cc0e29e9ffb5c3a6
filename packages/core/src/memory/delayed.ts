import type { Clock } from '../lib/clock.ts'
import { Heap } from '../lib/heap.ts'
import type { Entry } from './waiting.ts'

/** What waits for its time, under one timer however many they are. */
export class Delayed {
  readonly #clock: Clock
  readonly #due: (entry: Entry) => void
  readonly #waiting = new Heap<Entry>(
    (one, other) => one.dueAt < other.dueAt || (one.dueAt === other.dueAt && one.place < other.place),
  )
  #timer: { readonly at: number; readonly cancel: () => void } | undefined

  /** `due` gets each entry when its time has come. */
  constructor(clock: Clock, due: (entry: Entry) => void) {
    this.#clock = clock
    this.#due = due
  }

  get size(): number {
    return this.#waiting.size
  }

  isDue({ dueAt }: Entry): boolean {
    return dueAt <= this.#clock.monotonic()
  }

  add(entry: Entry): void {
    this.#waiting.add(entry)
    this.#arm()
  }

  /** Removes those with the id. */
  cancel(id: string): readonly Entry[] {
    return this.#waiting.remove(({ message }) => message.headers['ce-id'] === id)
  }

  clear(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#waiting.remove(() => true)
  }

  #arm(): void {
    const first = this.#waiting.first
    if (first === undefined || (this.#timer !== undefined && this.#timer.at <= first.dueAt)) return
    this.#timer?.cancel()
    // A timer may fire a fraction early, by rounding; then it would find nothing that is due.
    const delayMs = Math.max(0, Math.ceil(first.dueAt - this.#clock.monotonic()))
    this.#timer = { at: first.dueAt, cancel: this.#clock.after(delayMs, () => this.#onTimer()) }
  }

  #onTimer(): void {
    this.#timer = undefined
    for (let next = this.#waiting.first; next !== undefined && this.isDue(next); next = this.#waiting.first) {
      this.#waiting.take()
      this.#due(next)
    }
    this.#arm()
  }
}
