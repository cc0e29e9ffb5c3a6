import { type Clock, deadLetterIdOf, headerNames, MessagingError } from '@waybill/core/driver'
import type { Queue } from '../connection/queue.ts'
import { sendAll } from '../sending/sender.ts'
import { placeOf, type Received } from '../wire/messages.ts'
import type { HeldLetter, HeldLetters, Letter } from './held-letters.ts'

/** How long letters being listed stay hidden from others if this process dies. */
const holdMs = 30_000
/** How long to wait until a queue counts as empty: less than a second asks only some of its servers. */
const emptyAfterMs = 1000
/** Messages of a receive (Amazon SQS API Reference, ReceiveMessage, MaxNumberOfMessages). */
const mostReceived = 10
/** Receives under way at once at most. */
const mostReceives = 8

export interface WalkContext {
  readonly queue: Queue
  readonly clock: Clock
  /** Of all walks of this process: a letter may be replayed while a list is being read. */
  readonly held: HeldLetters
  /** How many messages SQS hides at a time. */
  readonly mostHidden: number
}

/**
 * One walk through a queue of dead letters. SQS cannot look into a queue, so the letters are received, hidden from
 * others as long as the walk takes, and given back.
 */
export class DeadLetterWalk {
  readonly #context: WalkContext
  readonly #own = new Set<HeldLetter>()
  readonly #seen = new Set<string>()

  constructor(context: WalkContext) {
    this.#context = context
  }

  /**
   * Page by page until nothing more comes, or nothing that was there at `until` (by the service's clock).
   *
   * @throws {MessagingError} `rejected` when SQS hides no more at a time.
   */
  async *pages(until: number): AsyncGenerator<readonly Letter[]> {
    const { queue, clock, held, mostHidden } = this.#context
    const adopted = new Set<string>()
    let renewAt = clock.monotonic() + holdMs / 2
    for (let receives = 1; ; receives = Math.min(receives * 2, mostReceives)) {
      const now = clock.monotonic()
      if (now > renewAt) {
        await this.#renew()
        renewAt = now + holdMs / 2
      }
      const allowed = Math.floor((mostHidden - held.size) / mostReceived)
      if (allowed < 1) throw tooMany(queue, held.size)
      const answers = await Promise.all(
        Array.from({ length: Math.min(receives, allowed) }, () =>
          queue.receive(mostReceived, holdMs, emptyAfterMs),
        ),
      )
      const received = answers.flat().filter(({ id }) => !this.#seen.has(id))
      for (const { id } of received) this.#seen.add(id)
      const letters = received.map(toLetter).sort(byAge)
      for (const letter of letters) this.#own.add(held.add(letter, now + holdMs))
      const moved = queue.isFifo ? await this.#adopt(letters) : []
      const page = letters.filter(
        (letter) => !moved.includes(letter) && (letter.received.sentAt <= until || adopted.has(letter.id)),
      )
      for (const { id } of moved) adopted.add(id)
      if (page.length > 0) {
        yield page
        this.#forget(page)
      } else if (moved.length === 0) return
    }
  }

  /** Gives back what has not been removed. */
  async close(): Promise<void> {
    const { queue, held } = this.#context
    const rest = this.#still()
    for (const { id } of rest) held.delete(id)
    // What fails comes back by itself when its time is over.
    await queue.hide(rest.map(({ receipt }) => ({ receipt, seconds: 0 })))
  }

  #still(): HeldLetter[] {
    return [...this.#own].filter((each) => this.#context.held.get(each.id) === each)
  }

  /** What has been removed does not come again. */
  #forget(page: readonly Letter[]): void {
    const removed = new Set(
      page.filter(({ id }) => this.#context.held.get(id) === undefined).map(({ id }) => id),
    )
    if (removed.size === 0) return
    for (const each of this.#own) if (removed.has(each.id)) this.#own.delete(each)
    for (const { id, received } of page) if (removed.has(id)) this.#seen.delete(received.id)
  }

  async #renew(): Promise<void> {
    const { queue, clock } = this.#context
    const rest = this.#still()
    const expiresAt = clock.monotonic() + holdMs
    const results = await queue.hide(rest.map(({ receipt }) => ({ receipt, seconds: holdMs / 1000 })))
    for (const [index, held] of rest.entries()) {
      if (results[index] === undefined) held.expiresAt = expiresAt
    }
  }

  /**
   * Letters that SQS itself moved into a FIFO queue kept their message group, and would be seen only one after another.
   * They are put back as letters of ours, each its own group, and met again further on.
   */
  async #adopt(letters: readonly Letter[]): Promise<readonly Letter[]> {
    const { queue, held } = this.#context
    const moved = letters.filter(({ headers }) => deadLetterIdOf(headers) === undefined)
    const results = await sendAll(
      queue,
      moved.map(({ id, body, contentType, headers, received }) => ({
        body,
        contentType,
        headers: { ...headers, [headerNames.deadLetterId]: id },
        key: received.key,
        // Not its own id: a service that keeps that as the moved message's deduplication id would drop the copy as a second one.
        fifo: placeOf(id, `${id}-adopted`),
      })),
    )
    const adopted = moved.filter((_, index) => results[index] === undefined)
    await queue.delete(adopted.map(({ received }) => received.receipt))
    for (const { id } of adopted) held.delete(id)
    return adopted
  }
}

function tooMany({ name }: Queue, count: number): MessagingError {
  const message = `Looking through queue ${name} stopped after ${count} letters, the most that SQS hides at a time. Replay or discard some, then try again`
  return new MessagingError('rejected', message)
}

/** Letters that SQS itself moved here bear no id of ours, but keep their own. */
function toLetter(received: Received): Letter {
  const { id, body, contentType, headers, key } = received
  return { id: deadLetterIdOf(headers) ?? id, body, contentType, headers, key, received }
}

/** Ids of core are in the order in which they were made. */
function byAge(one: Letter, other: Letter): number {
  return one.received.sentAt - other.received.sentAt || (one.id < other.id ? -1 : 1)
}
