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
  clear(): void
}

const isBefore = (one: Entry, other: Entry) =>
  one.priority > other.priority || (one.priority === other.priority && one.place < other.place)

/** Any member gets what comes first, by priority, then by place. */
export class SharedQueue<Owner> implements Waiting<Owner> {
  readonly keepsPlaces = false
  #entries = new Heap<Entry>(isBefore)

  get size(): number {
    return this.#entries.size
  }

  add(entry: Entry): void {
    this.#entries.add(entry)
  }

  due(entry: Entry): void {
    this.add(entry)
  }

  drop(entry: Entry): void {
    this.#entries.remove((other) => other === entry)
  }

  take(_owner: Owner, max: number): readonly Entry[] {
    const taken: Entry[] = []
    for (let count = Math.min(max, this.size); count > 0; count -= 1) {
      const entry = this.#entries.take()
      if (entry !== undefined) taken.push(entry)
    }
    return taken
  }

  release(): boolean {
    return false
  }

  clear(): void {
    this.#entries = new Heap<Entry>(isBefore)
  }
}
