import {
  attemptOf,
  type Delivery,
  deadLetterIdOf,
  headerNames,
  replayHeaders,
  type StoredDeadLetter,
} from '../driver.ts'
import type { Clock } from '../lib/clock.ts'

/** A message as the broker keeps it. */
export interface StoredMessage {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly key: string | undefined
  /** When it reached the topic, in milliseconds since the epoch. */
  readonly time: number
}

/** A group's copy of a message: its place in the queue, how often it was handed out, and how often in vain. */
interface Entry {
  readonly message: StoredMessage
  readonly place: number
  readonly priority: number
  deliveries: number
  crashes: number
}

export interface MemoryDelivery extends Delivery {
  readonly entry: Entry
}

/** Who takes deliveries of a group. */
export interface Member {
  /** Something may be there for it. */
  readonly wake: () => void
  readonly lose: (deliveries: readonly MemoryDelivery[]) => void
}

/** What one group has waiting, in hand, delayed and given up. */
export class MemoryGroup {
  readonly #clock: Clock
  readonly #ordered: boolean
  readonly #members = new Set<Member>()
  readonly #inFlight = new Map<MemoryDelivery, Member>()
  /** On ordered topics, who has deliveries of a key in hand, and how many. */
  readonly #owners = new Map<string, { readonly member: Member; count: number }>()
  /** What waits for its time, with what cancels it. */
  readonly #delayed = new Map<() => void, StoredMessage>()
  /** The types somebody has ever asked for, as patterns. */
  readonly wishes = new Set<string>()
  readonly dead = new Map<string, StoredDeadLetter & Pick<StoredMessage, 'key'>>()
  #waiting: Entry[] = []
  #head = 0
  #places = 0

  constructor(clock: Clock, ordered: boolean) {
    this.#clock = clock
    this.#ordered = ordered
  }

  get waiting(): number {
    return this.#waiting.length - this.#head
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  get delayed(): number {
    return this.#delayed.size
  }

  add(message: StoredMessage, delayMs: number): void {
    const enqueue = () => {
      const priority = Number(message.headers[headerNames.priority] ?? 0)
      this.#places += 1
      this.#insert({ message, place: this.#places, priority, deliveries: 0, crashes: 0 })
      this.#wake()
    }
    if (delayMs <= 0) {
      enqueue()
      return
    }
    const cancel = this.#clock.after(delayMs, () => {
      this.#delayed.delete(cancel)
      enqueue()
    })
    this.#delayed.set(cancel, message)
  }

  wish(patterns: readonly string[]): void {
    for (const pattern of patterns) this.wishes.add(pattern)
  }

  /** True when a message of that id waited for its time. */
  cancelDelayed(id: string): boolean {
    const found = [...this.#delayed].filter(([, { headers }]) => headers['ce-id'] === id)
    for (const [cancel] of found) {
      cancel()
      this.#delayed.delete(cancel)
    }
    return found.length > 0
  }

  join(member: Member): void {
    this.#members.add(member)
  }

  leave(member: Member): void {
    this.#members.delete(member)
    this.giveBack([...this.#inFlight].filter(([, owner]) => owner === member).map(([delivery]) => delivery))
  }

  take(member: Member, max: number): MemoryDelivery[] {
    const taken: MemoryDelivery[] = []
    if (!this.#ordered) {
      const entries = this.#waiting.slice(this.#head, this.#head + max)
      this.#head += entries.length
      this.#compact()
      for (const entry of entries) taken.push(this.#handOut(entry, member))
      return taken
    }
    const left: Entry[] = []
    for (const entry of this.#waiting.slice(this.#head)) {
      const owner = this.#owners.get(entry.message.key ?? '')
      const free = entry.message.key === undefined || owner === undefined || owner.member === member
      if (free && taken.length < max) taken.push(this.#handOut(entry, member))
      else left.push(entry)
    }
    this.#waiting = left
    this.#head = 0
    return taken
  }

  /** False when it was settled, lost or taken back before. */
  remove(delivery: MemoryDelivery): boolean {
    const member = this.#inFlight.get(delivery)
    if (member === undefined) return false
    this.#inFlight.delete(delivery)
    const { key } = delivery.entry.message
    const owner = key === undefined ? undefined : this.#owners.get(key)
    if (key !== undefined && owner !== undefined) {
      owner.count -= 1
      if (owner.count === 0) {
        this.#owners.delete(key)
        this.#wake()
      }
    }
    return true
  }

  /** Back to their old places. */
  giveBack(deliveries: readonly MemoryDelivery[]): void {
    for (const delivery of deliveries) if (this.remove(delivery)) this.#insert(delivery.entry)
    this.#wake()
  }

  /**
   * Back to their old places because their leases ran out: their member counts as dead. A crash is held against what it
   * can have been handling, which on an ordered topic is the first of each key; what waited behind it is innocent.
   */
  expire(deliveries: readonly MemoryDelivery[]): void {
    const headed = new Set<string>()
    for (const { entry } of [...deliveries].sort((one, other) => one.entry.place - other.entry.place)) {
      const { key } = entry.message
      if (this.#ordered && key !== undefined) {
        if (headed.has(key)) continue
        headed.add(key)
      }
      entry.crashes += 1
    }
    this.giveBack(deliveries)
  }

  /** Forgets what is waiting and in hand, and goes on with these. */
  restart(messages: readonly StoredMessage[]): void {
    const inFlight = [...this.#inFlight]
    for (const [delivery, member] of inFlight) {
      this.remove(delivery)
      member.lose([delivery])
    }
    this.#waiting = []
    this.#head = 0
    for (const message of messages) this.add(message, 0)
  }

  bury(message: StoredMessage, headers: Readonly<Record<string, string>>): void {
    this.#places += 1
    const id = deadLetterIdOf(headers) ?? String(this.#places)
    const { body, contentType, key } = message
    this.dead.set(id, { id, body, contentType, headers, key })
  }

  replay(ids: readonly string[]): number {
    const letters = ids.flatMap((id) => this.dead.get(id) ?? [])
    for (const { id, body, contentType, headers, key } of letters) {
      this.add({ body, contentType, headers: replayHeaders(headers), key, time: this.#clock.now() }, 0)
      this.dead.delete(id)
    }
    return letters.length
  }

  close(): void {
    for (const cancel of this.#delayed.keys()) cancel()
    this.#delayed.clear()
  }

  #handOut(entry: Entry, member: Member): MemoryDelivery {
    const { body, contentType, headers, key } = entry.message
    entry.deliveries += 1
    const delivery = {
      body,
      contentType,
      headers,
      key,
      attempt: attemptOf(headers),
      deliveries: entry.deliveries,
      crashes: entry.crashes,
      entry,
    }
    this.#inFlight.set(delivery, member)
    if (this.#ordered && key !== undefined) {
      const owner = this.#owners.get(key)
      if (owner === undefined) this.#owners.set(key, { member, count: 1 })
      else owner.count += 1
    }
    return delivery
  }

  // By priority, then by place. What is new belongs at the end nearly always, what comes back near the front.
  #insert(entry: Entry): void {
    const isBefore = (other: Entry) =>
      other.priority > entry.priority || (other.priority === entry.priority && other.place < entry.place)
    const last = this.#waiting.at(-1)
    if (this.waiting === 0 || (last !== undefined && isBefore(last))) {
      this.#waiting.push(entry)
      return
    }
    let index = this.#head
    for (
      let other = this.#waiting[index];
      other !== undefined && isBefore(other);
      other = this.#waiting[index]
    )
      index += 1
    this.#waiting.splice(index, 0, entry)
  }

  // Taking from the front moves an index; the array is cut when half of it is behind.
  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#waiting.length) return
    this.#waiting = this.#waiting.slice(this.#head)
    this.#head = 0
  }

  #wake(): void {
    for (const member of this.#members) member.wake()
  }
}
