import { Heap } from '../lib/heap.ts'
import type { Entry, Waiting } from './waiting.ts'

/** What waits of one key, and who has some of it in hand. */
interface Lane<Owner> {
  readonly waiting: Heap<Entry>
  owner: Owner | undefined
  inHand: number
}

/** Where the first entry of a lane stands among those of the others. Stale once the lane has another first or owner. */
interface Head<Owner> {
  readonly lane: Lane<Owner>
  readonly entry: Entry
}

type Heads<Owner> = Heap<Head<Owner>>

const newHeads = <Owner>(): Heads<Owner> => new Heap((one, other) => one.entry.place < other.entry.place)

/**
 * A key belongs to the member that has some of it in hand, and goes in the order of places: priorities do not count, and one
 * that waits for its time holds up what follows it.
 */
export class KeyLanes<Owner extends object> implements Waiting<Owner> {
  readonly keepsPlaces = true
  readonly #isDue: (entry: Entry) => boolean
  readonly #lanes = new Map<string, Lane<Owner>>()
  /** The lane of what is in hand, for entries without a key too, each of which has a lane of its own. */
  readonly #laneOf = new WeakMap<Entry, Lane<Owner>>()
  /** The heads of lanes that nobody owns. */
  #free: Heads<Owner> = newHeads()
  /** The heads of the lanes that a member owns. */
  #owned = new WeakMap<Owner, Heads<Owner>>()
  #size = 0

  constructor(isDue: (entry: Entry) => boolean) {
    this.#isDue = isDue
  }

  get size(): number {
    return this.#size
  }

  add(entry: Entry): void {
    const lane = this.#laneFor(entry)
    lane.waiting.add(entry)
    this.#size += 1
    if (lane.waiting.first === entry) this.#show(lane)
  }

  due(entry: Entry): void {
    const lane = this.#laneOf.get(entry)
    if (lane?.waiting.first === entry) this.#show(lane)
  }

  drop(entry: Entry): void {
    const lane = this.#laneOf.get(entry)
    if (lane === undefined || lane.waiting.remove((other) => other === entry).length === 0) return
    this.#size -= 1
    this.#show(lane)
  }

  take(owner: Owner, max: number): readonly Entry[] {
    const taken: Entry[] = []
    while (taken.length < max) {
      const lane = this.#nextLane(owner)
      const entry = lane?.waiting.take()
      if (lane === undefined || entry === undefined) break
      lane.owner = owner
      lane.inHand += 1
      this.#size -= 1
      taken.push(entry)
      this.#show(lane)
    }
    return taken
  }

  release(entry: Entry): boolean {
    const lane = this.#laneOf.get(entry)
    if (lane === undefined || lane.inHand === 0) return false
    lane.inHand -= 1
    if (lane.inHand > 0) return false
    lane.owner = undefined
    if (lane.waiting.size === 0) this.#forget(entry, lane)
    else this.#show(lane)
    return true
  }

  *entries(): Iterable<Entry> {
    for (const { waiting } of this.#lanes.values()) yield* waiting
    // Those without a key have lanes of their own, which only their heads lead to.
    for (const { lane, entry } of this.#free) {
      if (entry.message.key === undefined && lane.waiting.first === entry) yield entry
    }
  }

  clear(): void {
    this.#lanes.clear()
    this.#free = newHeads()
    this.#owned = new WeakMap()
    this.#size = 0
  }

  #laneFor(entry: Entry): Lane<Owner> {
    const { key } = entry.message
    const known = key === undefined ? this.#laneOf.get(entry) : this.#lanes.get(key)
    const lane = known ?? { waiting: new Heap(placeFirst), owner: undefined, inHand: 0 }
    if (key !== undefined && known === undefined) this.#lanes.set(key, lane)
    this.#laneOf.set(entry, lane)
    return lane
  }

  #forget({ message: { key } }: Entry, lane: Lane<Owner>): void {
    if (key !== undefined && this.#lanes.get(key) === lane) this.#lanes.delete(key)
  }

  /** Lets those who may have it see the first of the lane. */
  #show(lane: Lane<Owner>): void {
    const entry = lane.waiting.first
    if (entry !== undefined && this.#isDue(entry)) this.#headsOf(lane.owner).add({ lane, entry })
  }

  #headsOf(owner: Owner | undefined): Heads<Owner> {
    if (owner === undefined) return this.#free
    const known = this.#owned.get(owner)
    if (known !== undefined) return known
    const heads = newHeads<Owner>()
    this.#owned.set(owner, heads)
    return heads
  }

  /** The lane whose first is the first of all that the member may have; its head is taken away. */
  #nextLane(owner: Owner): Lane<Owner> | undefined {
    const own = this.#headsOf(owner)
    dropStale(own, owner)
    dropStale(this.#free, undefined)
    const [mine, free] = [own.first, this.#free.first]
    if (mine === undefined && free === undefined) return undefined
    const isMine = mine !== undefined && (free === undefined || mine.entry.place < free.entry.place)
    return (isMine ? own : this.#free).take()?.lane
  }
}

const placeFirst = (one: Entry, other: Entry) => one.place < other.place

function dropStale<Owner>(heads: Heads<Owner>, owner: Owner | undefined): void {
  const isStale = ({ lane, entry }: Head<Owner>) => lane.owner !== owner || lane.waiting.first !== entry
  while (heads.first !== undefined && isStale(heads.first)) heads.take()
}
