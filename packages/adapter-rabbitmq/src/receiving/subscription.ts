import { randomUUID } from 'node:crypto'
import {
  type Clock,
  type Delivery,
  MessagingError,
  type Outcome,
  type Settlement,
  type Subscription,
  type SubscriptionRequest,
  type TopicSpec,
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
import { bindQueue } from '../topology/declarations.ts'
import type { AmqpMessage } from '../wire/amqp.ts'
import { RabbitmqDelivery } from '../wire/delivery.ts'
import { fromAmqp } from '../wire/messages.ts'
import { describeGroup, type TopicObjects } from '../wire/names.ts'
import { Consumers, partitionPrefetch } from './consumers.ts'
import { Handovers } from './handovers.ts'
import { ReadyDeliveries } from './ready-deliveries.ts'

export interface SubscriptionParts {
  readonly clock: Clock
  readonly link: Link
  readonly copies: Copies
  readonly settings: RabbitmqSettings
  readonly objects: TopicObjects
  readonly request: SubscriptionRequest
  /** Unique to the subscription. */
  readonly member: string
  /** See `InHand`. */
  readonly returnsAsCopies: boolean
  readonly lostAcks: LostAcks
  readonly onClosed: (subscription: RabbitmqSubscription) => void
}

/** One channel with a consumer on each of the group's queues. It lives as long as the channel does. */
export class RabbitmqSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #parts: SubscriptionParts
  readonly #queues: readonly string[]
  /** Partitions that have one active consumer each. */
  readonly #isOrdered: boolean
  readonly #channel: Channel
  readonly #inHand: InHand
  readonly #consumers: Consumers
  /** On ordered topics. */
  readonly #handovers: Handovers | undefined
  readonly #ready = new ReadyDeliveries()
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #onHandover: ((deliveries: readonly Delivery[]) => void) | undefined
  #lostBy: MessagingError | undefined
  #closing: Promise<void> | undefined

  private constructor(parts: SubscriptionParts, queues: readonly string[], channel: Channel) {
    this.#parts = parts
    this.#queues = queues
    this.#channel = channel
    this.#isOrdered = parts.request.topic.ordered && !parts.request.broadcast
    this.#inHand = new InHand({
      channel,
      copies: parts.copies,
      objects: parts.objects,
      group: parts.request.group.name,
      queues,
      isOrdered: this.#isOrdered,
      returnsAsCopies: parts.returnsAsCopies && !parts.request.broadcast,
      lostAcks: parts.lostAcks,
      onForOthers: (partition) => this.#handovers?.leaveToOthers(partition),
      onAgain: (deliveries) => this.#ready.addAgain(deliveries),
    })
    this.#consumers = new Consumers({
      ...parts,
      channel,
      queues,
      isOrdered: this.#isOrdered,
      onMessage: (message, partition) => this.#onMessage(message, partition),
    })
    if (this.#isOrdered) {
      this.#handovers = new Handovers({
        clock: parts.clock,
        inHand: this.#inHand,
        consumers: this.#consumers,
        prefetch: partitionPrefetch(parts.request),
        waiting: async (partition) => (await channel.checkQueue(queues[partition] ?? '')).messageCount,
        giveBack: (deliveries) => this.#leave(deliveries),
        untilTaken: (partition) => this.#awaitAcks(partition),
      })
    }
    let reason: unknown
    channel.on('error', (error) => {
      reason = error
    })
    channel.on('close', () => {
      const error =
        reason ?? new MessagingError('disconnected', 'The channel was closed', { retryable: true })
      this.#lose(toLoss(error, `The subscription of ${queues.join(', ')} was lost`))
    })
  }

  /** Resolves when the broker has all its consumers. */
  static async open(parts: SubscriptionParts): Promise<RabbitmqSubscription> {
    const { link, request } = parts
    const what = `Subscribing to ${request.topic.name} as ${request.group.name} failed`
    try {
      const channel = await link.bounded(what, link.channel())
      try {
        return await link.bounded(what, RabbitmqSubscription.#start(parts, channel))
      } catch (error) {
        void closeChannel(channel)
        throw error
      }
    } catch (error) {
      throw toDriverError(error, what)
    }
  }

  static async #start(parts: SubscriptionParts, channel: Channel): Promise<RabbitmqSubscription> {
    const { objects, request } = parts
    const queues = request.broadcast
      ? [await declareBroadcastQueue(channel, parts)]
      : describeGroup(objects, request.group.name).queues.map(({ name }) => name)
    const subscription = new RabbitmqSubscription(parts, queues, channel)
    await subscription.#consumers.start()
    return subscription
  }

  /** How many deliveries it has in hand. */
  get size(): number {
    return this.#inHand.size
  }

  isOf(topic: TopicSpec, group: string): boolean {
    const { request } = this.#parts
    return !request.broadcast && request.topic.name === topic.name && request.group.name === group
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const deliveries = await this.#ready.take(max, signal)
    if (deliveries.length === 0 && this.#lostBy !== undefined) throw this.#lostBy
    return deliveries
  }

  async settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const outcomes = await this.#inHand.settle(settlements, signal)
    this.#handovers?.complete()
    return outcomes
  }

  resize(prefetch: number): void {
    if (this.#isOrdered || this.#parts.request.broadcast || this.#lostBy !== undefined) return
    this.#consumers.resize(prefetch)
  }

  async extend(): Promise<void> {
    // RabbitMQ has no leases: what is in hand stays so until the channel closes or the consumer timeout ends it.
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#onLost = listener
  }

  onHandover(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#onHandover = listener
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    this.#lostBy ??= new MessagingError('closed', 'The subscription is closed')
    this.#handovers?.close()
    this.#ready.close()
    try {
      await this.#parts.link.bounded('Closing the subscription', this.#giveBack())
    } catch {
      // The channel is gone, and the broker has given back what was in hand itself.
    }
    this.#inHand.lose()
    this.#parts.onClosed(this)
  }

  async #giveBack(): Promise<void> {
    if (this.#isOrdered) {
      // A cancelled consumer would let the next one start before ours are back in the queue; a closed channel returns them
      // first.
      await Promise.all([...this.#inHand.acked].map((partition) => this.#awaitAcks(partition)))
    } else {
      // What an acknowledgement makes the queue send may come after the answer to `cancel`, where nobody would see it.
      if (!this.#parts.request.broadcast) await this.#settled()
      await this.#consumers.cancel()
      // Closing the channel does so too, but counts as a failed delivery of each.
      if (this.#inHand.size > 0 && !this.#parts.request.broadcast) {
        await this.#inHand.returnAll()
        await this.#settled()
      }
    }
    await closeChannel(this.#channel)
  }

  #onMessage(message: AmqpMessage | null, partition: number): void {
    if (message === null) {
      const queue = this.#queues[partition]
      const error = new MessagingError(
        'topology-missing',
        `RabbitMQ cancelled the consumer of queue ${queue}: the queue was deleted, or, since RabbitMQ 4.3, a handler took longer than the consumer timeout`,
        {
          retryable: true,
        },
      )
      // The other consumers are of no use without it: core subscribes again.
      this.#lose(error)
      return
    }
    // A header of streams alone (RabbitMQ documentation, "Streams").
    if (message.properties.headers?.['x-stream-offset'] !== undefined) {
      this.#lose(streamRefused(this.#queues[partition] ?? ''))
      return
    }
    const incoming = fromAmqp(message, this.#isOrdered)
    const delivery = new RabbitmqDelivery(message, incoming, partition)
    this.#inHand.add(delivery)
    this.#handovers?.arrived(partition)
    // What other queues still send to a lost subscription goes back when core closes it.
    if (this.#lostBy !== undefined) return
    if (this.#parts.lostAcks.take(this.#queues[partition] ?? '', delivery)) {
      void this.#inHand.settle([{ delivery, verdict: { kind: 'ack' } }])
    } else if (incoming.remainingMs > 0) {
      void this.#orLose(this.#inHand.sendRoundAgain(delivery, incoming.remainingMs))
    } else if (incoming.isUncounted && !this.#isOrdered && !this.#parts.request.broadcast) {
      // Until the broker has the acknowledgement too: the copy may be here already, and if it killed this process at once,
      // there would be two of it each time.
      void this.#ready.holdDuring(this.#recount(delivery))
    } else if (!this.#inHand.keep(delivery)) {
      this.#ready.add(delivery)
    }
  }

  /** Core need not be told about what it has not fetched yet. */
  #leave(deliveries: readonly Delivery[]): void {
    this.#ready.drop((delivery) => this.#inHand.keep(delivery))
    this.#onHandover?.(deliveries)
  }

  /** What could not be sent goes back into the queue with the subscription, and is retried after core has subscribed again. */
  async #orLose(sent: Promise<Outcome>): Promise<void> {
    const outcome = await sent
    if (!outcome.ok) this.#lose(outcome.error)
  }

  async #recount(delivery: RabbitmqDelivery): Promise<void> {
    try {
      await this.#orLose(this.#inHand.sendRoundCounted(delivery))
      await this.#settled()
    } catch {
      // The channel is gone, and its `close` event tells.
    }
  }

  #settled(): Promise<void> {
    return untilSettled(this.#channel, this.#queues[0] ?? '', this.#parts.clock)
  }

  #awaitAcks(partition: number): Promise<void> {
    return untilAcksTaken(this.#channel, this.#queues[partition] ?? '')
  }

  #lose(error: MessagingError): void {
    if (this.#lostBy !== undefined) return
    this.#lostBy = error
    this.#handovers?.close()
    const lost = this.#inHand.lose()
    this.#ready.close()
    if (lost.length > 0) this.#onLost?.(lost)
  }
}

async function declareBroadcastQueue(
  channel: Channel,
  { objects, request }: SubscriptionParts,
): Promise<string> {
  // Not a name that could be used again: after a lost connection the broker may hold the old queue for a while yet.
  const name = `${request.topic.name}:${request.group.name}:broadcast:${randomUUID()}`
  await channel.assertQueue(name, {
    durable: false,
    exclusive: true,
    autoDelete: true,
    arguments: { 'x-queue-type': 'classic' },
  })
  await bindQueue(channel, name, objects, request.group.types, undefined)
  return name
}

function toLoss(thrown: unknown, what: string): MessagingError {
  const { code, message } = toDriverError(thrown, what)
  // Whatever closed the channel, subscribing again is the way on.
  return new MessagingError(code === 'topology-missing' ? code : 'disconnected', message, {
    retryable: true,
    cause: thrown,
  })
}
