/**
 * Items by rank, the first of them at hand. Adding and taking cost the logarithm of how many there are.
 *
 * @example
 * const timers = new Heap<Timer>((one, other) => one.at < other.at)
 * while (timers.first !== undefined && timers.first.at <= now) timers.take()?.run()
 */
export class Heap<Item> {
  /** The place of an item that is in no heap. */
  static readonly nowhere = -1

  readonly #isBefore: (one: Item, other: Item) => boolean
  readonly #onPlace: (item: Item, place: number) => void
  #items: Item[] = []

  /** `onPlace` is told whenever an item moves, for those who take items out by their place. */
  constructor(
    isBefore: (one: Item, other: Item) => boolean,
    onPlace: (item: Item, place: number) => void = () => undefined,
  ) {
    this.#isBefore = isBefore
    this.#onPlace = onPlace
  }

  get size(): number {
    return this.#items.length
  }

  get first(): Item | undefined {
    return this.#items[0]
  }

  /** All items, the first of them first, the others in no order. */
  [Symbol.iterator](): IterableIterator<Item> {
    return this.#items.values()
  }

  add(item: Item): void {
    this.#rise(item, this.#items.length)
  }

  take(): Item | undefined {
    return this.removeAt(0)
  }

  /** Takes out the item in this place, at the cost of a logarithm; undefined when there is none. */
  removeAt(place: number): Item | undefined {
    const items = this.#items
    const removed = items[place]
    if (removed === undefined) return undefined
    const last = items.pop()
    // The last one takes the gap, and moves to where it belongs.
    if (last !== undefined && place < items.length) {
      const parent = items[(place - 1) >> 1]
      if (place > 0 && parent !== undefined && this.#isBefore(last, parent)) this.#rise(last, place)
      else this.#sink(last, place)
    }
    this.#onPlace(removed, Heap.nowhere)
    return removed
  }

  /** Takes out all that match; costs a look at each. */
  remove(matches: (item: Item) => boolean): readonly Item[] {
    const removed = this.#items.filter(matches)
    if (removed.length === 0) return removed
    const kept = this.#items.filter((item) => !matches(item))
    this.#items = []
    for (const item of removed) this.#onPlace(item, Heap.nowhere)
    for (const item of kept) this.add(item)
    return removed
  }

  #rise(item: Item, from: number): void {
    const items = this.#items
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = items[above]
      if (parent === undefined || !this.#isBefore(item, parent)) break
      this.#put(parent, place)
      place = above
    }
    this.#put(item, place)
  }

  #sink(item: Item, from: number): void {
    const items = this.#items
    let place = from
    for (;;) {
      const left = items[2 * place + 1]
      if (left === undefined) break
      const right = items[2 * place + 2]
      const isRight = right !== undefined && this.#isBefore(right, left)
      const child = isRight ? right : left
      if (!this.#isBefore(child, item)) break
      this.#put(child, place)
      place = 2 * place + (isRight ? 2 : 1)
    }
    this.#put(item, place)
  }

  #put(item: Item, place: number): void {
    this.#items[place] = item
    this.#onPlace(item, place)
  }
}
