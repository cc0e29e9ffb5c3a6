import { Heap } from '@waybill/core/driver-kit'

/** How long messages wait where. */
export interface DelaySettings {
  /** Up to this long they wait in the memory of the consumer that will deliver them, exact to the millisecond. */
  readonly holdMs: number
  /** How long a message waits in each partition of a group's delay topic, ascending; the first at most half of `holdMs`. */
  readonly tiersMs: readonly number[]
}

export type DelayPlan =
  /** To the group's retry topic: due soon. */
  | { readonly to: 'retry' }
  /** To this partition of the group's delay topic, and to be looked at again after `waitMs`. */
  | { readonly to: 'delay'; readonly partition: number; readonly waitMs: number }

/**
 * The next stage of a message's wait. Every message of a delay partition waits equally long there, so the first is always
 * the next, and none is held up by another. The last stage is reached half of `holdMs` before the message is due, which
 * makes up for whatever the stages before it were late.
 */
export function planDelay(remainingMs: number, { holdMs, tiersMs }: DelaySettings): DelayPlan {
  if (remainingMs <= holdMs) return { to: 'retry' }
  const longest = remainingMs - holdMs / 2
  let partition = 0
  for (const [index, tierMs] of tiersMs.entries()) if (tierMs <= longest) partition = index
  return { to: 'delay', partition, waitMs: tiersMs[partition] ?? 0 }
}

interface Due<Item> {
  readonly at: number
  readonly order: number
  readonly item: Item
}

/** Things by the time they are due; of equally early ones, the one that came first. */
export class DueHeap<Item> {
  readonly #heap = new Heap<Due<Item>>(
    (one, other) => one.at < other.at || (one.at === other.at && one.order < other.order),
  )
  #count = 0

  get size(): number {
    return this.#heap.size
  }

  get earliest(): number | undefined {
    return this.#heap.first?.at
  }

  add(at: number, item: Item): void {
    this.#count += 1
    this.#heap.add({ at, order: this.#count, item })
  }

  /** Takes what is due at `now`, in order. */
  takeDue(now: number): Item[] {
    const due: Item[] = []
    for (let { first } = this.#heap; first !== undefined && first.at <= now; first = this.#heap.first) {
      due.push(first.item)
      this.#heap.take()
    }
    return due
  }

  /** Drops what is no longer wanted. */
  keep(wanted: (item: Item) => boolean): void {
    this.#heap.remove(({ item }) => !wanted(item))
  }
}
