import {
  type Clock,
  type Delivery,
  MessagingError,
  type Outcome,
  type Settlement,
  type SubscriptionRequest,
} from '@waybill/core/driver'
import type { Channel } from '../client/amqplib.ts'
import { closeChannel } from '../connection/close-channel.ts'
import type { Link } from '../connection/link.ts'
import { streamRefused, toDriverError } from '../errors.ts'
import type { RabbitmqSettings } from '../options.ts'
import type { Copies } from '../sending/copies.ts'
import { InHand } from '../settling/in-hand.ts'
import type { LostAcks } from '../settling/lost-acks.ts'
import { untilAcksTaken, untilSettled } from '../settling/until-settled.ts'
import type { AmqpMessage } from '../wire/amqp.ts'
import { RabbitmqDelivery } from '../wire/delivery.ts'
import { fromAmqp } from '../wire/messages.ts'
import type { TopicObjects } from '../wire/names.ts'
import { Consumers } from './consumers.ts'

/** What reading needs of its driver. */
export interface ReadingParts {
  readonly clock: Clock
  readonly link: Link
  readonly copies: Copies
  readonly settings: RabbitmqSettings
  readonly objects: TopicObjects
  readonly request: SubscriptionRequest
  /** See `InHand`. */
  readonly returnsAsCopies: boolean
  readonly lostAcks: LostAcks
}

export interface QueueReaderParts extends ReadingParts {
  readonly queue: string
  readonly partition: number
  /** How this member ranks among those of a partition, which has one active consumer; undefined on queues that share. */
  readonly priority: number | undefined
  /** A message has come. */
  readonly onArrived: () => void
  readonly onReady: (delivery: RabbitmqDelivery) => void
  /** See `InHand`. */
  readonly onAgain: (deliveries: readonly RabbitmqDelivery[]) => void
  /** Nothing may be handed out until the work has ended, which never rejects. */
  readonly onBusy: (work: Promise<unknown>) => void
  /** See `InHand`. */
  readonly onForOthers: () => void
  /** It has ended, and not because it was closed. */
  readonly onLost: (error: MessagingError) => void
}

/**
 * One channel with the consumers of one queue. A channel that closes gives back what it has in hand in its order, before
 * another consumer of the queue gets anything; `basic.nack` would put it at the end of a queue without a delivery limit
 * (RabbitMQ 4.0, "Quorum Queues", repeated requeues). So partitions, which change hands, have a channel each.
 */
export class QueueReader {
  readonly partition: number
  readonly inHand: InHand
  readonly #parts: QueueReaderParts
  readonly #channel: Channel
  readonly #consumers: Consumers
  #isOver = false
  #closing: Promise<void> | undefined

  private constructor(parts: QueueReaderParts, channel: Channel) {
    this.#parts = parts
    this.#channel = channel
    this.partition = parts.partition
    const { request, queue, priority } = parts
    this.inHand = new InHand({
      ...parts,
      channel,
      group: request.group.name,
      isOrdered: priority !== undefined,
      returnsAsCopies: parts.returnsAsCopies && !request.broadcast,
    })
    this.#consumers = new Consumers({ ...parts, channel, onMessage: (message) => this.#onMessage(message) })
    let reason: unknown
    channel.on('error', (error) => {
      reason = error
    })
    channel.on('close', () => {
      const error =
        reason ?? new MessagingError('disconnected', 'The channel was closed', { retryable: true })
      this.#end(toLoss(error, `The subscription of ${queue} was lost`))
    })
  }

  static async open(parts: QueueReaderParts): Promise<QueueReader> {
    return new QueueReader(parts, await parts.link.channel())
  }

  /** Resolves when the broker has its consumer. Messages may come before that. */
  start(): Promise<void> {
    return this.#consumers.start()
  }

  get #isOrdered(): boolean {
    return this.#parts.priority !== undefined
  }

  settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    return this.inHand.settle(settlements, signal)
  }

  resize(prefetch: number): void {
    this.#consumers.resize(prefetch)
  }

  /** How many messages wait in the queue. */
  async waiting(): Promise<number> {
    return (await this.#channel.checkQueue(this.#parts.queue)).messageCount
  }

  /** Gives back what is in hand, and ends. */
  close(): Promise<void> {
    this.#closing ??= this.#giveBack()
    return this.#closing
  }

  async #giveBack(): Promise<void> {
    this.#isOver = true
    if (this.#isOrdered) {
      // A cancelled consumer would let the next one start before ours are back in the queue; a closed channel returns them
      // first.
      if (this.inHand.hasAcked) await untilAcksTaken(this.#channel, this.#parts.queue)
    } else {
      const { broadcast } = this.#parts.request
      // What an acknowledgement makes the queue send may come after the answer to `cancel`, where nobody would see it.
      if (!broadcast) await this.#settled()
      await this.#consumers.cancel()
      // Closing the channel does so too, but counts as a failed delivery of each.
      if (this.inHand.size > 0 && !broadcast) {
        await this.inHand.returnAll()
        await this.#settled()
      }
    }
    await closeChannel(this.#channel)
  }

  /** Forgets what it has in hand; what has no verdict yet is returned. What still comes goes back when it is closed. */
  lose(): readonly Delivery[] {
    this.#isOver = true
    return this.inHand.lose()
  }

  #onMessage(message: AmqpMessage | null): void {
    const { queue, partition, request, lostAcks, onArrived, onReady } = this.#parts
    if (message === null) {
      const text = `RabbitMQ cancelled the consumer of queue ${queue}: the queue was deleted, or, since RabbitMQ 4.3, a handler took longer than the consumer timeout`
      this.#end(new MessagingError('topology-missing', text, { retryable: true }))
      return
    }
    // A header of streams alone (RabbitMQ documentation, "Streams").
    if (message.properties.headers?.['x-stream-offset'] !== undefined) {
      this.#end(streamRefused(queue))
      return
    }
    const incoming = fromAmqp(message, this.#isOrdered)
    const delivery = new RabbitmqDelivery(message, incoming, partition)
    this.inHand.add(delivery)
    onArrived()
    if (this.#isOver) return
    if (lostAcks.take(queue, delivery)) {
      void this.inHand.settle([{ delivery, verdict: { kind: 'ack' } }])
    } else if (incoming.remainingMs > 0) {
      void this.#orEnd(this.inHand.sendRoundAgain(delivery, incoming.remainingMs))
    } else if (incoming.isUncounted && !this.#isOrdered && !request.broadcast) {
      // Until the broker has the acknowledgement too: the copy may be here already, and if it killed this process at once,
      // there would be two of it each time.
      this.#parts.onBusy(this.#recount(delivery))
    } else if (!this.inHand.keep(delivery)) {
      onReady(delivery)
    }
  }

  /** What could not be sent goes back into the queue with the channel, and is retried after core has subscribed again. */
  async #orEnd(sent: Promise<Outcome>): Promise<void> {
    const outcome = await sent
    if (!outcome.ok) this.#end(outcome.error)
  }

  async #recount(delivery: RabbitmqDelivery): Promise<void> {
    try {
      await this.#orEnd(this.inHand.sendRoundCounted(delivery))
      await this.#settled()
    } catch {
      // The channel is gone, and its `close` event tells.
    }
  }

  #settled(): Promise<void> {
    return untilSettled(this.#channel, this.#parts.queue, this.#parts.clock)
  }

  #end(error: MessagingError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#parts.onLost(error)
  }
}

function toLoss(thrown: unknown, what: string): MessagingError {
  const { code, message } = toDriverError(thrown, what)
  // Whatever closed the channel, subscribing again is the way on.
  return new MessagingError(code === 'topology-missing' ? code : 'disconnected', message, {
    retryable: true,
    cause: thrown,
  })
}
