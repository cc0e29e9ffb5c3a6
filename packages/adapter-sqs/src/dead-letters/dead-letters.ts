import { randomUUID } from 'node:crypto'
import {
  type Clock,
  type DeadLetterStore,
  type Outcome,
  replayHeaders,
  type StoredDeadLetter,
} from '@waybill/core/driver'
import { done, failed } from '@waybill/core/driver-kit'
import type { ItemResult } from '../connection/batches.ts'
import type { Queue } from '../connection/queue.ts'
import { sendAll } from '../sending/sender.ts'
import { type Outgoing, placeOf } from '../wire/messages.ts'
import { DeadLetterWalk } from './dead-letter-walk.ts'
import { HeldLetters, type Letter } from './held-letters.ts'

/**
 * A list also shows what came within this time of its start, so that clocks need not agree to the millisecond; it must
 * not show more, or it would never end while messages keep failing.
 */
const clockToleranceMs = 5000

export interface DeadLetterContext {
  readonly clock: Clock
  readonly mostHidden: number
  readonly deadLetters: () => Promise<Queue>
  readonly queue: () => Promise<Queue>
}

/** The dead letters of a group, in a queue. */
export class SqsDeadLetters implements DeadLetterStore {
  readonly #context: DeadLetterContext
  readonly #held = new HeldLetters()

  constructor(context: DeadLetterContext) {
    this.#context = context
  }

  async count(): Promise<number> {
    const { waiting, inFlight, delayed } = await (await this.#context.deadLetters()).depths()
    return waiting + inFlight + delayed
  }

  async *list(): AsyncIterable<StoredDeadLetter> {
    const queue = await this.#context.deadLetters()
    const walk = this.#walk(queue)
    try {
      for await (const page of walk.pages(queue.now() + clockToleranceMs)) yield* page
    } finally {
      await walk.close()
    }
  }

  async replay(ids: readonly string[] | 'all'): Promise<number> {
    const queue = await this.#context.queue()
    return this.#remove(ids, (letters) =>
      sendAll(
        queue,
        letters.map((letter) => copyOf(letter, queue)),
      ),
    )
  }

  discard(ids: readonly string[] | 'all'): Promise<number> {
    return this.#remove(ids, async (letters) => letters.map(() => undefined))
  }

  async add(letters: readonly StoredDeadLetter[]): Promise<readonly Outcome[]> {
    const queue = await this.#context.deadLetters()
    const results = await sendAll(
      queue,
      letters.map(({ id, body, contentType, headers, key }) => {
        // FIFO queues drop for five minutes what they have seen before: a letter may come again after it was discarded.
        const fifo = queue.isFifo ? placeOf(id, randomUUID()) : undefined
        return { body, contentType, headers, key, fifo }
      }),
    )
    return results.map((result) => (result === undefined ? done : failed(result.error)))
  }

  #walk(queue: Queue): DeadLetterWalk {
    const { clock, mostHidden } = this.#context
    return new DeadLetterWalk({ queue, clock, held: this.#held, mostHidden })
  }

  /** Deletes the letters that `prepare` succeeded with. */
  async #remove(
    ids: readonly string[] | 'all',
    prepare: (letters: readonly Letter[]) => Promise<ItemResult[]>,
  ): Promise<number> {
    const { clock, deadLetters } = this.#context
    const startedAt = clock.monotonic()
    const wanted = ids === 'all' ? undefined : new Set(ids)
    const queue = await deadLetters()
    // Its clock is known to the second.
    const until = wanted === undefined ? queue.now() + 1000 : Number.POSITIVE_INFINITY
    let removed = 0
    const remove = async (letters: readonly Letter[]) => {
      const results = await prepare(letters)
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
    const isWanted = ({ id }: Pick<Letter, 'id'>) => wanted === undefined || wanted.has(id)
    const inHand = this.#held
      .values()
      .filter(({ id, expiresAt }) => expiresAt > startedAt && isWanted({ id }))
    await remove(inHand.flatMap(({ letter }) => letter ?? []))
    // The others have to be received again.
    const bare = inHand.filter(({ id, letter }) => letter === undefined && this.#held.get(id) !== undefined)
    for (const { id } of bare) this.#held.delete(id)
    await queue.hide(bare.map(({ receipt }) => ({ receipt, seconds: 0 })))
    if (wanted?.size === 0) return removed
    const walk = this.#walk(queue)
    try {
      for await (const page of walk.pages(until)) {
        await remove(page.filter(isWanted))
        if (wanted?.size === 0) break
      }
      return removed
    } finally {
      await walk.close()
    }
  }
}

/**
 * The id of a replay differs from the message's: FIFO queues drop for five minutes what they have seen before. It is not the
 * letter's own either, which may be added and replayed again.
 */
function copyOf({ body, contentType, headers, received }: Letter, queue: Queue): Outgoing {
  const fifo = queue.isFifo ? placeOf(received.key, `replay-${received.id}`) : undefined
  return { body, contentType, headers: replayHeaders(headers), fifo }
}
