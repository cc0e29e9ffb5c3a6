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

/** A heap of things by the time they are due, the earliest on top. */
export class DueHeap<Item> {
  readonly #heap: { readonly at: number; readonly order: number; readonly item: Item }[] = []
  #count = 0

  get size(): number {
    return this.#heap.length
  }

  get earliest(): number | undefined {
    return this.#heap[0]?.at
  }

  add(at: number, item: Item): void {
    this.#count += 1
    const entry = { at, order: this.#count, item }
    let index = this.#heap.length
    this.#heap.push(entry)
    while (index > 0) {
      const above = (index - 1) >>> 1
      const parent = this.#heap[above]
      if (parent === undefined || precedes(parent, entry)) break
      this.#heap[index] = parent
      index = above
    }
    this.#heap[index] = entry
  }

  /** Takes what is due at `now`, in order. */
  takeDue(now: number): Item[] {
    const due: Item[] = []
    for (let top = this.#heap[0]; top !== undefined && top.at <= now; top = this.#heap[0]) {
      due.push(top.item)
      this.#removeTop()
    }
    return due
  }

  /** Drops what is no longer wanted. */
  keep(wanted: (item: Item) => boolean): void {
    const kept = this.#heap.filter(({ item }) => wanted(item))
    this.#heap.length = 0
    for (const { at, item } of kept.sort((a, b) => (precedes(a, b) ? -1 : 1))) this.add(at, item)
  }

  #removeTop(): void {
    const last = this.#heap.pop()
    const { length } = this.#heap
    if (last === undefined || length === 0) return
    let index = 0
    for (;;) {
      const left = this.#heap[2 * index + 1]
      const right = this.#heap[2 * index + 2]
      if (left === undefined) break
      const isRight = right !== undefined && precedes(right, left)
      const child = isRight ? right : left
      if (precedes(last, child)) break
      this.#heap[index] = child
      index = 2 * index + (isRight ? 2 : 1)
    }
    this.#heap[index] = last
  }
}

// Of equally early ones, the one that came first.
function precedes(
  a: { readonly at: number; readonly order: number },
  b: { readonly at: number; readonly order: number },
): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
