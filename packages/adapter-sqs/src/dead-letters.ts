import {
  type Clock,
  type DeadLetterStore,
  deadLetterIdOf,
  replayHeaders,
  type StoredDeadLetter,
} from '@waybill/core/driver'
import type { ItemResult } from './batches.ts'
import type { Outgoing, Queue } from './queue.ts'
import { placeOf, type Received } from './wire.ts'

/** How long letters that are looked at stay hidden from others if this process dies meanwhile. */
const holdMs = 30_000
/** How long to wait until a queue counts as empty: at least a second, or only some of its servers are asked. */
const emptyAfterMs = 1000
/** Receives under way at once. */
const mostReceives = 8

interface Letter extends StoredDeadLetter {
  readonly received: Received
}

interface Held {
  readonly letter: Letter
  expiresAt: number
}

export interface DeadLetterContext {
  readonly clock: Clock
  readonly deadLetters: () => Promise<Queue>
  readonly queue: () => Promise<Queue>
}

/**
 * The dead letters of a group, in a queue. SQS cannot look into a queue, so letters that are looked at are received,
 * hidden from others as long as that takes, and given back.
 */
export class SqsDeadLetters implements DeadLetterStore {
  readonly #context: DeadLetterContext
  /** By id, whoever in this process holds them: a letter may be replayed while the list is being read. */
  readonly #held = new Map<string, Held>()

  constructor(context: DeadLetterContext) {
    this.#context = context
  }

  async count(): Promise<number> {
    const { waiting, inFlight, delayed } = await (await this.#context.deadLetters()).depths()
    return waiting + inFlight + delayed
  }

  async *list(): AsyncIterable<StoredDeadLetter> {
    const queue = await this.#context.deadLetters()
    const held: Held[] = []
    try {
      for await (const page of this.#pages(queue, held)) yield* page
    } finally {
      await this.#giveBack(queue, held)
    }
  }

  async replay(ids: readonly string[] | 'all'): Promise<number> {
    const target = await this.#context.queue()
    return this.#remove(ids, async (letters) => target.send(letters.map((letter) => copyOf(letter, target))))
  }

  discard(ids: readonly string[] | 'all'): Promise<number> {
    return this.#remove(ids, async (letters) => letters.map(() => undefined))
  }

  /** Deletes the letters that `before` succeeded with. */
  async #remove(
    ids: readonly string[] | 'all',
    before: (letters: readonly Letter[]) => Promise<ItemResult[]>,
  ): Promise<number> {
    const queue = await this.#context.deadLetters()
    const { clock } = this.#context
    const startedAt = clock.now()
    const wanted = ids === 'all' ? undefined : new Set(ids)
    const held: Held[] = []
    let removed = 0
    const removeAll = async (letters: readonly Letter[]) => {
      const results = await before(letters)
      const ready = letters.filter((_, index) => results[index] === undefined)
      const deleted = await queue.delete(ready.map(({ received }) => received.receipt))
      for (const { id } of ready) {
        this.#held.delete(id)
        wanted?.delete(id)
      }
      const failed = [...results, ...deleted].find((result) => result !== undefined)
      if (failed !== undefined) throw failed.error
      removed += ready.length
    }
    try {
      const inHand = [...(wanted ?? [])].flatMap((id) => this.#held.get(id) ?? [])
      const now = clock.now()
      await removeAll(inHand.flatMap(({ letter, expiresAt }) => (expiresAt > now ? [letter] : [])))
      if (wanted?.size === 0) return removed
      for await (const page of this.#pages(queue, held)) {
        // Letters that came meanwhile, perhaps of what this call replays, are left alone.
        const isMeant = ({ id, received }: Letter) =>
          wanted === undefined ? received.sentAt <= startedAt : wanted.has(id)
        await removeAll(page.filter(isMeant))
        if (wanted?.size === 0) break
      }
      return removed
    } finally {
      await this.#giveBack(queue, held)
    }
  }

  /** Receives page by page until nothing more comes. `held` is the caller's to give back, whatever happens. */
  async *#pages(queue: Queue, held: Held[]): AsyncGenerator<readonly Letter[]> {
    const { clock } = this.#context
    const seen = new Set<string>()
    let heldUntil = clock.now() + holdMs
    for (let receives = 1; ; receives = Math.min(receives * 2, mostReceives)) {
      const now = clock.now()
      if (now > heldUntil - holdMs / 2) {
        await this.#holdOn(queue, held)
        heldUntil = now + holdMs
      }
      const pages = await Promise.all(
        Array.from({ length: receives }, () => queue.receive(10, holdMs, emptyAfterMs)),
      )
      const received = pages.flat()
      if (received.length === 0) return
      const fresh = received.filter(({ id }) => !seen.has(id)).sort((one, other) => one.sentAt - other.sentAt)
      const letters = fresh.map(toLetter)
      for (const letter of letters) {
        const each: Held = { letter, expiresAt: now + holdMs }
        seen.add(letter.received.id)
        held.push(each)
        this.#held.set(letter.id, each)
      }
      // A page of nothing but what was seen before: the round is done.
      if (letters.length === 0) return
      yield letters
    }
  }

  #stillHeld(held: readonly Held[]): Held[] {
    return held.filter((each) => this.#held.get(each.letter.id) === each)
  }

  async #holdOn(queue: Queue, held: readonly Held[]): Promise<void> {
    const rest = this.#stillHeld(held)
    const expiresAt = this.#context.clock.now() + holdMs
    await queue.hide(rest.map(({ letter }) => ({ receipt: letter.received.receipt, seconds: holdMs / 1000 })))
    for (const each of rest) each.expiresAt = expiresAt
  }

  async #giveBack(queue: Queue, held: readonly Held[]): Promise<void> {
    const rest = this.#stillHeld(held)
    for (const { letter } of rest) this.#held.delete(letter.id)
    // What fails comes back by itself when its time is over.
    await queue.hide(rest.map(({ letter }) => ({ receipt: letter.received.receipt, seconds: 0 })))
  }
}

/** Letters that SQS itself moved here bear no id of ours, but keep their own. */
function toLetter(received: Received): Letter {
  const { id, body, contentType, headers } = received
  return { id: deadLetterIdOf(headers) ?? id, body, contentType, headers, received }
}

/** The id of a replay differs from the message's: FIFO queues drop for five minutes what they have seen before. */
function copyOf({ id, body, contentType, headers, received }: Letter, queue: Queue): Outgoing {
  const fifo = queue.isFifo ? placeOf(received.key, `replay-${id}`) : undefined
  return { body, contentType, headers: replayHeaders(headers), fifo }
}
