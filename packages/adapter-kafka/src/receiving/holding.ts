import type { Clock } from '@waybill/core/driver'
import type { Waiting } from '../settling/partition.ts'
import { DueHeap } from '../wire/delays.ts'

/** Messages that wait in memory for their time, under one timer. */
export class Holding {
  readonly #clock: Clock
  readonly #heap = new DueHeap<Waiting>()
  readonly #onDue: (due: readonly Waiting[]) => void
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(clock: Clock, onDue: (due: readonly Waiting[]) => void) {
    this.#clock = clock
    this.#onDue = onDue
  }

  get size(): number {
    return this.#heap.size
  }

  add(at: number, waiting: Waiting): void {
    this.#heap.add(at, waiting)
    this.#arm()
  }

  /** Forgets what is no longer ours. */
  dropLost(): void {
    this.#heap.keep(({ partition }) => !partition.isLost)
    this.#arm()
  }

  clear(): void {
    this.#heap.keep(() => false)
    this.#arm()
  }

  #arm(): void {
    const at = this.#heap.earliest
    if (at === this.#alarm?.at) return
    this.#alarm?.cancel()
    this.#alarm = undefined
    if (at === undefined) return
    const cancel = this.#clock.after(
      Math.max(0, at - this.#clock.now()),
      () => {
        this.#alarm = undefined
        const due = this.#heap.takeDue(this.#clock.now())
        this.#arm()
        if (due.length > 0) this.#onDue(due)
      },
      { background: true },
    )
    this.#alarm = { at, cancel }
  }
}
