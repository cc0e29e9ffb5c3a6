import { Heap } from '../lib/heap.ts'
import type { StoredMessage } from './stored-message.ts'

/** A group's copy of a message: its place in the queue and how often it was handed out. */
export interface Entry {
  readonly message: StoredMessage
  readonly place: number
  /** Where it belongs among the others: above all with a lower one, whatever their places. */
  readonly priority: number
  /** Not to be handed out before, by the monotonic clock. */
  readonly dueAt: number
  /** Since when it could be handed out, by the monotonic clock. */
  readonly readyAt: number
  deliveries: number
  /** How often a lease ran out with it in hand. */
  crashes: number
}

/** What of a group waits to be handed out, in the order it is to be. `owner` stands for a member. */
export interface Waiting<Owner> {
  readonly size: number
  /** Whether what waits for its time is added at once, because it holds up others; else it is when its time has come. */
  readonly keepsPlaces: boolean
  /** Costs the logarithm of how many wait, for what comes back to its old place as for what is new. */
  add(entry: Entry): void
  /** The time of an entry that was added before has come. */
  due(entry: Entry): void
  /** Takes out one that nobody has in hand. */
  drop(entry: Entry): void
  /** Up to `max` of what the member may have. */
  take(owner: Owner, max: number): readonly Entry[]
  /** The member has it no longer; true when others may have more now. */
  release(entry: Entry): boolean
  /** In no order. Costs a look at each. */
  entries(): Iterable<Entry>
  clear(): void
}

const isBefore = (one: Entry, other: Entry) =>
  one.priority > other.priority || (one.priority === other.priority && one.place < other.place)

/** Any member gets what comes first, by priority, then by place. */
export class SharedQueue<Owner> implements Waiting<Owner> {
  readonly keepsPlaces = false
  /** What came in order, which nearly all do, from `#head` on: there is nothing cheaper than an array. */
  #inOrder: Entry[] = []
  #head = 0
  /** What belongs before something that was there already. */
  #others = new Heap<Entry>(isBefore)

  get size(): number {
    return this.#inOrder.length - this.#head + this.#others.size
  }

  add(entry: Entry): void {
    const last = this.#inOrder.at(-1)
    if (last === undefined || isBefore(last, entry)) this.#inOrder.push(entry)
    else this.#others.add(entry)
  }

  due(entry: Entry): void {
    this.add(entry)
  }

  // Only what waits for its time is dropped, and that is not here yet.
  drop(): void {}

  take(_owner: Owner, max: number): readonly Entry[] {
    const taken: Entry[] = []
    while (taken.length < max) {
      const entry = this.#next()
      if (entry === undefined) break
      taken.push(entry)
    }
    this.#compact()
    return taken
  }

  release(): boolean {
    return false
  }

  *entries(): Iterable<Entry> {
    yield* this.#inOrder.slice(this.#head)
    yield* this.#others
  }

  clear(): void {
    this.#inOrder = []
    this.#head = 0
    this.#others = new Heap<Entry>(isBefore)
  }

  #next(): Entry | undefined {
    const next = this.#inOrder[this.#head]
    const other = this.#others.first
    if (next === undefined || (other !== undefined && isBefore(other, next))) return this.#others.take()
    this.#head += 1
    return next
  }

  // The array is cut when half of it is behind.
  #compact(): void {
    if (this.#head === this.#inOrder.length) this.#inOrder = []
    else if (this.#head < 1024 || this.#head * 2 < this.#inOrder.length) return
    else this.#inOrder = this.#inOrder.slice(this.#head)
    this.#head = 0
  }
}
