import {
  type Clock,
  type DeadLetterStore,
  type MessagingError,
  replayHeaders,
  type StoredDeadLetter,
  sleep,
} from '@waybill/core/driver'
import type { Channel, ConsumeMessage } from 'amqplib'
import { closeChannel } from './bounded.ts'
import { toQueue } from './copies.ts'
import { toDriverError } from './errors.ts'
import type { Link } from './link.ts'
import { describeGroup, type TopicObjects } from './names.ts'
import type { Publisher } from './publisher.ts'
import { fromAmqp, letterId, partitionOfLetter, toCopy } from './wire.ts'

/** How many letters are taken, and copied or removed, at a time. */
const windowSize = 1000

/** A page of `list` ends with whichever comes first. */
const pageLetters = 5000
const pageBytes = 16 * 1024 * 1024

/** How long letters that the broker counted may take to come; others may have taken them meanwhile. */
const idleMs = 1000

interface Letter extends StoredDeadLetter {
  readonly source: ConsumeMessage
}

/** What a visitor does with a window of letters. */
interface Visit {
  readonly remove: readonly Letter[]
  readonly isEnough: boolean
}

export interface DeadLetterParts {
  readonly link: Link
  readonly publisher: Publisher
  readonly clock: Clock
  readonly objects: TopicObjects
  readonly group: string
}

/**
 * The dead letters of a group, in a queue of their own. AMQP has no way to look without taking, so letters are taken and
 * given back in their old order; none is held while the caller works on what it got.
 */
export class RabbitmqDeadLetters implements DeadLetterStore {
  readonly #parts: DeadLetterParts
  readonly #dead: string
  readonly #queues: readonly string[]

  constructor(parts: DeadLetterParts) {
    const { dead, queues } = describeGroup(parts.objects, parts.group)
    this.#parts = parts
    this.#dead = dead.name
    this.#queues = queues.map(({ name }) => name)
  }

  async count(): Promise<number> {
    const { messageCount } = await this.#parts.link.withChannel('Counting dead letters failed', (channel) =>
      channel.checkQueue(this.#dead),
    )
    return messageCount
  }

  async *list(): AsyncGenerator<StoredDeadLetter> {
    const seen = new Set<string>()
    for (;;) {
      const page: StoredDeadLetter[] = []
      let bytes = 0
      await this.#visit('Listing dead letters failed', async (letters) => {
        for (const { id, body, contentType, headers } of letters) {
          if (seen.has(id)) continue
          seen.add(id)
          page.push({ id, body, contentType, headers })
          bytes += body.byteLength
        }
        return { remove: [], isEnough: page.length >= pageLetters || bytes >= pageBytes }
      })
      if (page.length === 0) return
      yield* page
    }
  }

  async replay(ids: readonly string[] | 'all'): Promise<number> {
    const wanted = ids === 'all' ? undefined : new Set(ids)
    let replayed = 0
    let failure: MessagingError | undefined
    await this.#visit('Replaying dead letters failed', async (letters) => {
      const chosen = letters.filter(({ id }) => wanted?.has(id) ?? true)
      const outcomes = await this.#parts.publisher.publish(chosen.map((letter) => this.#toReplay(letter)))
      const remove = chosen.filter((letter, index) => {
        const outcome = outcomes[index]
        if (outcome?.ok) wanted?.delete(letter.id)
        else failure ??= outcome?.error
        return outcome?.ok
      })
      replayed += remove.length
      return { remove, isEnough: failure !== undefined || wanted?.size === 0 }
    })
    if (failure !== undefined) throw failure
    return replayed
  }

  async discard(ids: readonly string[] | 'all'): Promise<number> {
    if (ids === 'all') {
      const { messageCount } = await this.#parts.link.withChannel(
        'Discarding dead letters failed',
        (channel) => channel.purgeQueue(this.#dead),
      )
      return messageCount
    }
    const wanted = new Set(ids)
    let discarded = 0
    await this.#visit('Discarding dead letters failed', async (letters) => {
      const remove = letters.filter(({ id }) => wanted.delete(id))
      discarded += remove.length
      return { remove, isEnough: wanted.size === 0 }
    })
    return discarded
  }

  #toReplay({ source, headers }: Letter) {
    const queue = this.#queues[partitionOfLetter(source) % this.#queues.length] ?? ''
    const restored = replayHeaders(headers)
    return toQueue(queue, toCopy(source, restored), restored)
  }

  /** Takes the letters that are there now, window by window, and gives back all that the visitor does not remove. */
  async #visit(what: string, visitor: (letters: readonly Letter[]) => Promise<Visit>): Promise<void> {
    const { link } = this.#parts
    try {
      const channel = await link.bounded(what, link.channel())
      let rest = 0
      try {
        const { messageCount } = await link.bounded(what, channel.checkQueue(this.#dead))
        rest = messageCount
        for (let left = messageCount; left > 0; ) {
          const letters = await this.#take(channel, Math.min(left, windowSize))
          left = letters.length === 0 ? 0 : left - letters.length
          const { remove, isEnough } = await visitor(letters)
          for (const { source } of remove) channel.ack(source)
          rest -= remove.length
          if (isEnough) break
        }
      } finally {
        // Not by negative acknowledgements: of many of them the broker mixes up the order (RabbitMQ 4.0, rabbit_fifo and
        // rabbit_fifo_client). What a channel held when it closed goes back in order.
        await link.bounded(what, closeChannel(channel))
      }
      await this.#untilBack(rest)
    } catch (error) {
      throw toDriverError(error, what)
    }
  }

  /** Up to so many letters from the head of the queue; fewer when somebody else has taken some. */
  async #take(channel: Channel, wanted: number): Promise<Letter[]> {
    const { clock } = this.#parts
    const letters: Letter[] = []
    let onEnd: () => void = () => undefined
    const ended = new Promise<void>((resolve) => {
      onEnd = resolve
    })
    let cancelTimer = clock.after(idleMs, onEnd)
    channel.once('close', onEnd)
    await channel.prefetch(wanted, false)
    const { consumerTag } = await channel.consume(this.#dead, (message) => {
      if (message === null) return onEnd()
      const { body, contentType, headers } = fromAmqp(message)
      letters.push({ id: letterId(message, headers), body, contentType, headers, source: message })
      if (letters.length === wanted) return onEnd()
      // Now and then is enough: a timer a letter costs more than the letter.
      if (letters.length % 50 !== 0) return
      cancelTimer()
      cancelTimer = clock.after(idleMs, onEnd)
    })
    await ended
    cancelTimer()
    channel.off('close', onEnd)
    await channel.cancel(consumerTag)
    return letters
  }

  /** What was given back is in the queue a moment later only; whoever counts next shall find it there. */
  async #untilBack(expected: number): Promise<void> {
    for (let tries = 0; tries < 50; tries += 1) {
      if ((await this.count()) >= expected) return
      await sleep(this.#parts.clock, 10)
    }
  }
}
