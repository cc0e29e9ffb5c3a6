import {
  attemptOf,
  type Delivery,
  deadLetterIdOf,
  headerNames,
  replayHeaders,
  type StoredDeadLetter,
} from '../driver.ts'
import type { Clock } from '../lib/clock.ts'
import { Delayed } from './delayed.ts'
import { KeyLanes } from './key-lanes.ts'
import type { StoredMessage } from './stored-message.ts'
import { type Entry, SharedQueue, type Waiting } from './waiting.ts'

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
  readonly #members = new Set<Member>()
  readonly #inFlight = new Map<MemoryDelivery, Member>()
  readonly #waiting: Waiting<Member>
  readonly #delayed: Delayed
  /** The types somebody has ever asked for, as patterns. */
  readonly wishes = new Set<string>()
  readonly dead = new Map<string, StoredDeadLetter & Pick<StoredMessage, 'key'>>()
  closed = false
  #places = 0

  constructor(clock: Clock, ordered: boolean) {
    this.#clock = clock
    this.#delayed = new Delayed(clock, (entry) => {
      this.#waiting.due(entry)
      this.#wake()
    })
    this.#waiting = ordered ? new KeyLanes((entry) => this.#delayed.isDue(entry)) : new SharedQueue()
  }

  get waiting(): number {
    return this.#waiting.size - (this.#waiting.keepsPlaces ? this.#delayed.size : 0)
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  get delayed(): number {
    return this.#delayed.size
  }

  /** 0 when nothing waits. */
  get oldestWaitingMs(): number {
    const now = this.#clock.monotonic()
    let oldest = now
    for (const { readyAt } of this.#waiting.entries()) oldest = Math.min(oldest, readyAt)
    return now - oldest
  }

  add(message: StoredMessage): void {
    this.#places += 1
    const { headers, dueAt = 0 } = message
    const priority = Number(headers[headerNames.priority] ?? 0)
    const readyAt = Math.max(dueAt, this.#clock.monotonic())
    const entry = { message, place: this.#places, priority, dueAt, readyAt, deliveries: 0, crashes: 0 }
    const isDue = this.#delayed.isDue(entry)
    if (isDue || this.#waiting.keepsPlaces) this.#waiting.add(entry)
    if (isDue) this.#wake()
    else this.#delayed.add(entry)
  }

  wish(patterns: readonly string[]): void {
    for (const pattern of patterns) this.wishes.add(pattern)
  }

  /** True when a message of that id waited for its time. */
  cancelDelayed(id: string): boolean {
    const cancelled = this.#delayed.cancel(id)
    if (this.#waiting.keepsPlaces) for (const entry of cancelled) this.#waiting.drop(entry)
    if (cancelled.length > 0) this.#wake()
    return cancelled.length > 0
  }

  join(member: Member): void {
    this.#members.add(member)
  }

  leave(member: Member): void {
    this.#members.delete(member)
    this.giveBack([...this.#inFlight].filter(([, owner]) => owner === member).map(([delivery]) => delivery))
  }

  take(member: Member, max: number): MemoryDelivery[] {
    const taken = this.#waiting.take(member, max)
    // Next time others are woken first; otherwise one member of an idle group would get everything.
    if (taken.length > 0 && this.#members.delete(member)) this.#members.add(member)
    return taken.map((entry) => this.#handOut(entry, member))
  }

  /** False when it was settled, lost or taken back before. */
  remove(delivery: MemoryDelivery): boolean {
    if (!this.#inFlight.delete(delivery)) return false
    if (this.#waiting.release(delivery.entry)) this.#wake()
    return true
  }

  /** Back to their old places. */
  giveBack(deliveries: readonly MemoryDelivery[]): void {
    for (const delivery of deliveries) {
      if (!this.#inFlight.delete(delivery)) continue
      const { entry } = delivery
      // Before the key is anybody's again, so that what follows it is not handed out first.
      this.#waiting.add(entry)
      this.#waiting.release(entry)
    }
    this.#wake()
  }

  /**
   * Back to their old places because their leases expired: their member counts as dead. A crash counts against what it can
   * have been handling, which on an ordered topic is only the first message of each key.
   */
  expire(deliveries: readonly MemoryDelivery[]): void {
    const headed = new Set<string>()
    for (const { entry } of [...deliveries].sort((one, other) => one.entry.place - other.entry.place)) {
      const { key } = entry.message
      if (this.#waiting.keepsPlaces && key !== undefined) {
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
    this.#waiting.clear()
    this.#delayed.clear()
    for (const message of messages) this.add(message)
  }

  bury(message: StoredMessage, headers: Readonly<Record<string, string>>): void {
    this.#places += 1
    const id = deadLetterIdOf(headers) ?? String(this.#places)
    const { body, contentType, key } = message
    this.dead.set(id, { id, body, contentType, headers, key })
  }

  /** Puts letters behind those that are there; what is there already stays. */
  addLetters(letters: readonly StoredDeadLetter[]): void {
    for (const letter of letters) {
      if (!this.dead.has(letter.id)) this.dead.set(letter.id, { ...letter, key: letter.key })
    }
  }

  replay(ids: readonly string[]): number {
    const letters = ids.flatMap((id) => this.dead.get(id) ?? [])
    for (const { id, body, contentType, headers, key } of letters) {
      this.add({ body, contentType, headers: replayHeaders(headers), key, time: this.#clock.now() })
      this.dead.delete(id)
    }
    return letters.length
  }

  /** The group has been deleted: its members lose what they have in hand and get nothing more. */
  close(): void {
    this.closed = true
    this.#delayed.clear()
    this.#waiting.clear()
    for (const [delivery, member] of [...this.#inFlight]) {
      this.remove(delivery)
      member.lose([delivery])
    }
    this.#wake()
  }

  #handOut(entry: Entry, member: Member): MemoryDelivery {
    const { body, contentType, headers, key, time, transportId } = entry.message
    entry.deliveries += 1
    const delivery = {
      body,
      contentType,
      headers,
      key,
      timestamp: time,
      ...(transportId !== undefined && { transportId }),
      attempt: attemptOf(headers),
      deliveries: entry.deliveries,
      crashes: entry.crashes,
      entry,
    }
    this.#inFlight.set(delivery, member)
    return delivery
  }

  #wake(): void {
    for (const member of this.#members) member.wake()
  }
}
