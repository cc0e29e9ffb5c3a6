import {
  type Clock,
  type DeadLetterStore,
  type MessagingError,
  type Outcome,
  replayHeaders,
  type StoredDeadLetter,
  sleep,
} from '@waybill/core/driver'
import type { Channel } from '../client/amqplib.ts'
import { closeChannel } from '../connection/close-channel.ts'
import type { Link } from '../connection/link.ts'
import { toDriverError } from '../errors.ts'
import { toQueue } from '../sending/copies.ts'
import type { Publisher } from '../sending/publisher.ts'
import type { AmqpMessage } from '../wire/amqp.ts'
import {
  fromAmqp,
  letterId,
  type Outgoing,
  partitionOfLetter,
  toCopy,
  toNewLetter,
} from '../wire/messages.ts'
import { describeGroup, type TopicObjects } from '../wire/names.ts'
import { partitionOf } from '../wire/partitions.ts'

/** How many letters are taken, and copied or removed, at a time. */
const windowSize = 1000

/** A page of `list` ends with whichever comes first. */
const pageLetters = 5000
const pageBytes = 16 * 1024 * 1024

/** How long letters that the broker counted may take to arrive; others may have taken them in the meantime. */
const idleMs = 1000

/** How long letters that were given back may take to reappear; others may have taken them in the meantime. */
const backMs = 3000

interface Letter extends StoredDeadLetter {
  readonly source: AmqpMessage
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

  add(letters: readonly StoredDeadLetter[]): Promise<readonly Outcome[]> {
    return this.#parts.publisher.publish(letters.map((letter) => this.#toNew(letter)))
  }

  #toNew({ body, contentType, headers, key = '' }: StoredDeadLetter): Outgoing {
    const { topic } = this.#parts.objects
    const extras = topic.ordered ? { partition: partitionOf(key, this.#queues.length) } : {}
    return { exchange: '', routingKey: this.#dead, ...toNewLetter({ body, contentType, headers }, extras) }
  }

  #toReplay({ source, headers }: Letter) {
    const queue = this.#queues[partitionOfLetter(source) % this.#queues.length] ?? ''
    const restored = replayHeaders(headers)
    return toQueue(queue, toCopy(source, restored), restored)
  }

  /** Takes the letters that are there now, window by window, and gives back all that the visitor does not remove. */
  async #visit(what: string, visitor: (letters: readonly Letter[]) => Promise<Visit>): Promise<void> {
    const { link, clock } = this.#parts
    try {
      const channel = await link.bounded(what, link.channel())
      let rest = 0
      try {
        const { messageCount } = await link.bounded(what, channel.checkQueue(this.#dead))
        rest = messageCount
        const arrivals = new Arrivals(channel, this.#dead, clock)
        for (let left = messageCount; left > 0; ) {
          const letters = await arrivals.take(Math.min(left, windowSize))
          left = letters.length === 0 ? 0 : left - letters.length
          const { remove, isEnough } = await visitor(letters)
          for (const { source } of remove) channel.ack(source)
          rest -= remove.length
          if (isEnough) break
        }
        await arrivals.end()
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

  /** What was given back is in the queue only a moment later; the next count must find it there. */
  async #untilBack(expected: number): Promise<void> {
    const { clock } = this.#parts
    for (const deadline = clock.monotonic() + backMs; clock.monotonic() < deadline; ) {
      if ((await this.count()) >= expected) return
      await sleep(clock, 10)
    }
  }
}

/** Letters as the broker hands them out, to one consumer after the other. */
class Arrivals {
  readonly #channel: Channel
  readonly #queue: string
  readonly #clock: Clock
  readonly #consumerTags: string[] = []
  #arrived: Letter[] = []
  #wanted = 0
  #onEnough: () => void = () => undefined

  constructor(channel: Channel, queue: string, clock: Clock) {
    this.#channel = channel
    this.#queue = queue
    this.#clock = clock
  }

  /** Up to so many, in order; fewer when somebody else has taken some. */
  async take(wanted: number): Promise<Letter[]> {
    this.#wanted = wanted
    // Every letter in hand takes of a consumer's prefetch, so the next window takes another consumer.
    if (this.#arrived.length < wanted) await this.#addConsumer(wanted - this.#arrived.length)
    for (let before = -1; before < this.#arrived.length && this.#arrived.length < wanted; ) {
      before = this.#arrived.length
      await this.#enoughOrIdle()
    }
    const letters = this.#arrived.slice(0, wanted)
    this.#arrived = this.#arrived.slice(wanted)
    return letters
  }

  /**
   * Resolves when the broker has taken note of all that was acknowledged; a channel that closes forgets what its queues
   * have not taken yet (RabbitMQ 4.0, rabbit_fifo_client).
   */
  async end(): Promise<void> {
    await Promise.all(this.#consumerTags.map((tag) => this.#channel.cancel(tag)))
  }

  #enoughOrIdle(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.#channel.off('close', done)
        resolve()
      }
      const cancel = this.#clock.after(idleMs, done)
      this.#channel.once('close', done)
      this.#onEnough = done
    })
  }

  async #addConsumer(prefetch: number): Promise<void> {
    await this.#channel.prefetch(prefetch, false)
    const { consumerTag } = await this.#channel.consume(this.#queue, (message) => {
      if (message === null) return this.#onEnough()
      const { body, contentType, headers } = fromAmqp(message)
      this.#arrived.push({ id: letterId(message, headers), body, contentType, headers, source: message })
      if (this.#arrived.length >= this.#wanted) this.#onEnough()
    })
    this.#consumerTags.push(consumerTag)
  }
}
