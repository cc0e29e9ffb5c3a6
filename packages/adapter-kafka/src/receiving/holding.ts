import type { Clock } from '@waybill/core/driver'
import type { Waiting } from '../settling/partition.ts'
import { DueHeap } from '../wire/delays.ts'
import type { Load } from './ready-messages.ts'

/** Messages that wait in memory for their time, under one timer. */
export class Holding {
  readonly #clock: Clock
  readonly #heap = new DueHeap<Waiting>()
  #bytes = 0
  readonly #onDue: (due: readonly Waiting[]) => void
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(clock: Clock, onDue: (due: readonly Waiting[]) => void) {
    this.#clock = clock
    this.#onDue = onDue
  }

  get load(): Load {
    return { messages: this.#heap.size, bytes: this.#bytes }
  }

  add(at: number, waiting: Waiting): void {
    this.#heap.add(at, waiting)
    this.#bytes += waiting.bytes
    this.#arm()
  }

  /** Forgets what is no longer ours. */
  dropLost(): void {
    this.#heap.keep((waiting) => {
      if (waiting.partition.isLost) this.#bytes -= waiting.bytes
      return !waiting.partition.isLost
    })
    this.#arm()
  }

  clear(): void {
    this.#heap.keep(() => false)
    this.#bytes = 0
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
        for (const { bytes } of due) this.#bytes -= bytes
        this.#arm()
        if (due.length > 0) this.#onDue(due)
      },
      { background: true },
    )
    this.#alarm = { at, cancel }
  }
}
