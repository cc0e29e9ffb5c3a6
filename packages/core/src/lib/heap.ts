/** Items by rank, the first of them at hand. Adding and taking cost the logarithm of how many there are. */
export class Heap<Item> {
  readonly #isBefore: (one: Item, other: Item) => boolean
  #items: Item[] = []

  constructor(isBefore: (one: Item, other: Item) => boolean) {
    this.#isBefore = isBefore
  }

  get size(): number {
    return this.#items.length
  }

  get first(): Item | undefined {
    return this.#items[0]
  }

  add(item: Item): void {
    const items = this.#items
    let place = items.length
    items.push(item)
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = items[above]
      if (parent === undefined || !this.#isBefore(item, parent)) break
      items[place] = parent
      place = above
    }
    items[place] = item
  }

  take(): Item | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (last !== undefined && items.length > 0) this.#sink(last)
    return first
  }

  /** Takes out all that match; costs a look at each. */
  remove(matches: (item: Item) => boolean): readonly Item[] {
    const removed = this.#items.filter(matches)
    if (removed.length === 0) return removed
    const kept = this.#items.filter((item) => !matches(item))
    this.#items = []
    for (const item of kept) this.add(item)
    return removed
  }

  /** From the top to where it belongs. */
  #sink(item: Item): void {
    const items = this.#items
    let place = 0
    for (;;) {
      const left = items[2 * place + 1]
      if (left === undefined) break
      const right = items[2 * place + 2]
      const isRight = right !== undefined && this.#isBefore(right, left)
      const child = isRight ? right : left
      if (!this.#isBefore(child, item)) break
      items[place] = child
      place = 2 * place + (isRight ? 2 : 1)
    }
    items[place] = item
  }
}
