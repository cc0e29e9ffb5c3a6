/** Where an item stands, to remove it by. */
export interface Place<Item> {
  readonly item: Item
  before: Place<Item> | undefined
  after: Place<Item> | undefined
  present: boolean
}

/**
 * Items that come and go, in the order they came.
 *
 * For what comes and goes with every message, instead of a set or a map: of those, V8 links each outgrown table to the
 * next one, so that as soon as one has grown old, all that stood in any later one lives on until the next full
 * collection. It made garbage collection a third of the cost of a message.
 */
export class Roster<Item> {
  #first: Place<Item> | undefined
  #last: Place<Item> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): Place<Item> | undefined {
    return this.#first
  }

  /** To the front, before all others. */
  addFirst(item: Item): Place<Item> {
    const place: Place<Item> = { item, before: undefined, after: this.#first, present: true }
    if (this.#first === undefined) this.#last = place
    else this.#first.before = place
    this.#first = place
    this.#size += 1
    return place
  }

  add(item: Item): Place<Item> {
    const place: Place<Item> = { item, before: this.#last, after: undefined, present: true }
    if (this.#last === undefined) this.#first = place
    else this.#last.after = place
    this.#last = place
    this.#size += 1
    return place
  }

  /** False when it was removed before. */
  remove(place: Place<Item>): boolean {
    if (!place.present) return false
    const { before, after } = place
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    // An old place must not keep its neighbours alive.
    place.before = undefined
    place.after = undefined
    place.present = false
    this.#size -= 1
    return true
  }

  /** A copy, so that items may be removed while it is iterated. */
  all(): Item[] {
    const items: Item[] = []
    for (let place = this.#first; place !== undefined; place = place.after) items.push(place.item)
    return items
  }
}
