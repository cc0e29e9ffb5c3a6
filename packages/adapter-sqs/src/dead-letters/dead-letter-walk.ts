import { type Clock, deadLetterIdOf, headerNames, type StoredDeadLetter } from '@waybill/core/driver'
import type { Queue } from '../sending/queue.ts'
import { placeOf, type Received } from '../wire/messages.ts'

/** How long letters that are looked at stay hidden from others if this process dies meanwhile. */
const holdMs = 30_000
/** How long to wait until a queue counts as empty: less than a second asks only some of its servers. */
const emptyAfterMs = 1000
/** Receives under way at once at most. */
const mostReceives = 8

export interface Letter extends StoredDeadLetter {
  readonly received: Received
}

/** A letter that is hidden from everybody else. */
export interface HeldLetter {
  readonly letter: Letter
  expiresAt: number
}

/**
 * One walk through a queue of dead letters. SQS cannot look into a queue, so the letters are received, hidden from
 * others as long as the walk takes, and given back.
 */
export class DeadLetterWalk {
  readonly #queue: Queue
  readonly #clock: Clock
  /** By id, of all walks of this process: a letter may be replayed while a list is being read. */
  readonly #held: Map<string, HeldLetter>
  readonly #own: HeldLetter[] = []

  constructor(queue: Queue, clock: Clock, held: Map<string, HeldLetter>) {
    this.#queue = queue
    this.#clock = clock
    this.#held = held
  }

  /** Page by page until nothing more comes, or nothing that was there at `until` (by the service's clock). */
  async *pages(until: number): AsyncGenerator<readonly Letter[]> {
    const seen = new Set<string>()
    const adopted = new Set<string>()
    let renewAt = this.#clock.now() + holdMs / 2
    for (let receives = 1; ; receives = Math.min(receives * 2, mostReceives)) {
      const now = this.#clock.now()
      if (now > renewAt) {
        await this.#renew()
        renewAt = now + holdMs / 2
      }
      const answers = await Promise.all(
        Array.from({ length: receives }, () => this.#queue.receive(10, holdMs, emptyAfterMs)),
      )
      const received = answers.flat().filter(({ id }) => !seen.has(id))
      for (const { id } of received) seen.add(id)
      const letters = received.map(toLetter).sort(byAge)
      for (const letter of letters) this.#hold(letter, now + holdMs)
      const moved = this.#queue.isFifo ? await this.#adopt(letters) : []
      const page = letters.filter(
        (letter) => !moved.includes(letter) && (letter.received.sentAt <= until || adopted.has(letter.id)),
      )
      for (const { id } of moved) adopted.add(id)
      if (page.length > 0) yield page
      else if (moved.length === 0) return
    }
  }

  /** Gives back what has not been removed meanwhile. */
  async close(): Promise<void> {
    const rest = this.#still()
    for (const { letter } of rest) this.#held.delete(letter.id)
    // What fails comes back by itself when its time is over.
    await this.#queue.hide(rest.map(({ letter }) => ({ receipt: letter.received.receipt, seconds: 0 })))
  }

  #hold(letter: Letter, expiresAt: number): void {
    const held = { letter, expiresAt }
    this.#own.push(held)
    this.#held.set(letter.id, held)
  }

  #still(): HeldLetter[] {
    return this.#own.filter((held) => this.#held.get(held.letter.id) === held)
  }

  async #renew(): Promise<void> {
    const rest = this.#still()
    const expiresAt = this.#clock.now() + holdMs
    const seconds = holdMs / 1000
    const results = await this.#queue.hide(
      rest.map(({ letter }) => ({ receipt: letter.received.receipt, seconds })),
    )
    for (const [index, held] of rest.entries()) {
      if (results[index] === undefined) held.expiresAt = expiresAt
    }
  }

  /**
   * Letters that SQS itself moved into a FIFO queue kept their message group, and would be seen only one after another.
   * They are put back as letters of ours, each its own group, and met again further on.
   */
  async #adopt(letters: readonly Letter[]): Promise<readonly Letter[]> {
    const moved = letters.filter(({ headers }) => deadLetterIdOf(headers) === undefined)
    const results = await this.#queue.sender.send(
      moved.map(({ id, body, contentType, headers, received }) => ({
        body,
        contentType,
        headers: { ...headers, [headerNames.deadLetterId]: id },
        key: received.key,
        fifo: placeOf(id, id),
      })),
    )
    const adopted = moved.filter((_, index) => results[index] === undefined)
    await this.#queue.delete(adopted.map(({ received }) => received.receipt))
    for (const { id } of adopted) this.#held.delete(id)
    return adopted
  }
}

/** Letters that SQS itself moved here bear no id of ours, but keep their own. */
function toLetter(received: Received): Letter {
  const { id, body, contentType, headers } = received
  return { id: deadLetterIdOf(headers) ?? id, body, contentType, headers, received }
}

/** Ids of core are in the order in which they were made. */
function byAge(one: Letter, other: Letter): number {
  return one.received.sentAt - other.received.sentAt || (one.id < other.id ? -1 : 1)
}
