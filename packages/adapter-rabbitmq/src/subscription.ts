import { randomUUID } from 'node:crypto'
import {
  type Delivery,
  MessagingError,
  type Outcome,
  type Settlement,
  type Subscription,
  type SubscriptionRequest,
  type TopicSpec,
} from '@waybill/core/driver'
import type { Channel, ConsumeMessage } from 'amqplib'
import { Acknowledgements } from './acknowledgements.ts'
import { closeChannel } from './bounded.ts'
import type { Copies, CopyRequest } from './copies.ts'
import { toDriverError } from './errors.ts'
import type { Link } from './link.ts'
import { bindingKeyOf, describeGroup, type TopicObjects } from './names.ts'
import type { Settings } from './options.ts'
import { partitionPriorities } from './partitions.ts'
import { fromAmqp, type Incoming } from './wire.ts'

const ok: Outcome = { ok: true }

/** A delivery and what is needed to settle it. */
class RabbitmqDelivery implements Delivery {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly deliveries: number
  readonly key = undefined
  readonly source: ConsumeMessage
  readonly tag: number
  /** Which of the group's queues it came from. */
  readonly partition: number
  /** Set while its verdict is on its way, and after that. */
  settled = false

  constructor(source: ConsumeMessage, incoming: Omit<Incoming, 'remainingMs'>, partition: number) {
    this.body = incoming.body
    this.contentType = incoming.contentType
    this.headers = incoming.headers
    this.attempt = incoming.attempt
    this.deliveries = incoming.deliveries
    this.source = source
    this.tag = source.fields.deliveryTag
    this.partition = partition
  }

  /** The same message, handed out once more. */
  again(): RabbitmqDelivery {
    return new RabbitmqDelivery(this.source, { ...this, deliveries: this.deliveries + 1 }, this.partition)
  }
}

/** One settlement that puts a copy somewhere; its outcome goes to `index`. */
interface Copy extends Pick<CopyRequest, 'verdict'> {
  readonly index: number
  readonly delivery: RabbitmqDelivery
}

export interface SubscriptionParts {
  readonly link: Link
  readonly copies: Copies
  readonly settings: Settings
  readonly objects: TopicObjects
  readonly request: SubscriptionRequest
  /** Unique to the subscription. */
  readonly member: string
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
  readonly #acknowledgements = new Acknowledgements()
  /** Handed out and not settled. */
  readonly #inHand = new Set<RabbitmqDelivery>()
  #ready: RabbitmqDelivery[] = []
  #wake: (() => void) | undefined
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #lostBy: MessagingError | undefined
  #closing: Promise<void> | undefined
  readonly #consumerTags: string[] = []
  /** The partitions of which something was acknowledged. */
  readonly #acked = new Set<number>()

  private constructor(parts: SubscriptionParts, queues: readonly string[], channel: Channel) {
    this.#parts = parts
    this.#queues = queues
    this.#channel = channel
    this.#isOrdered = parts.request.topic.ordered && !parts.request.broadcast
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
    await subscription.#consume()
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
    if (this.#ready.length === 0) await this.#arrival(signal)
    if (this.#ready.length === 0) {
      if (this.#lostBy !== undefined) throw this.#lostBy
      return []
    }
    const deliveries = this.#ready.length <= max ? this.#ready : this.#ready.slice(0, max)
    this.#ready = this.#ready.length <= max ? [] : this.#ready.slice(max)
    return deliveries
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(settlements.length).fill(ok)
    const acks: RabbitmqDelivery[] = []
    const releases: RabbitmqDelivery[] = []
    const copies: Copy[] = []
    for (const [index, { delivery: theirs, verdict }] of settlements.entries()) {
      const delivery = this.#own(theirs)
      if (delivery === undefined || delivery.settled) continue
      delivery.settled = true
      switch (verdict.kind) {
        case 'ack':
          acks.push(delivery)
          break
        case 'release':
          releases.push(delivery)
          break
        case 'retry':
        case 'dead-letter':
          copies.push({ index, delivery, verdict })
          break
      }
    }
    this.#ack(acks)
    this.#release(releases)
    if (copies.length > 0) await this.#copy(copies, outcomes)
    return outcomes
  }

  /** Copy first, then ack: what happens between the two duplicates, never loses. */
  async #copy(copies: readonly Copy[], outcomes: Outcome[]): Promise<void> {
    const results = await this.#parts.copies.publish(
      copies.map(({ delivery: { source, partition }, verdict }) => ({
        source,
        verdict,
        queue: this.#queues[partition] ?? '',
        partition,
      })),
      this.#parts.objects,
      this.#parts.request.group.name,
    )
    const done: RabbitmqDelivery[] = []
    for (const [position, { delivery, index }] of copies.entries()) {
      const result = results[position] ?? ok
      outcomes[index] = result
      if (result.ok) done.push(delivery)
      else delivery.settled = false
    }
    this.#ack(done)
  }

  async extend(): Promise<void> {
    // RabbitMQ has no leases: what is in hand stays so until the channel closes or the consumer timeout ends it.
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#onLost = listener
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    this.#lostBy ??= new MessagingError('closed', 'The subscription is closed')
    this.#wake?.()
    try {
      await this.#parts.link.bounded('Closing the subscription', this.#giveBack())
    } catch {
      // The channel is gone, and the broker has given back what was in hand itself.
    }
    this.#inHand.clear()
    this.#ready = []
    this.#parts.onClosed(this)
  }

  async #giveBack(): Promise<void> {
    if (this.#isOrdered) {
      // A cancelled consumer would let the next one start before ours are back in the queue; a closed channel returns them
      // first.
      await Promise.all([...this.#acked].map((partition) => this.#awaitAcks(this.#queues[partition] ?? '')))
    } else {
      await Promise.all(this.#consumerTags.map((tag) => this.#channel.cancel(tag)))
      // Closing the channel does so too, but counts as a failed delivery of each (RabbitMQ 4.3).
      if (this.#inHand.size > 0) this.#channel.nackAll(true)
    }
    await closeChannel(this.#channel)
  }

  /**
   * A channel that closes forgets the acks that its queues have not taken yet (RabbitMQ 4.0, rabbit_fifo_client). Consumers
   * come and go behind them and are answered when that is done, so one comes and goes that is never active.
   */
  async #awaitAcks(queue: string): Promise<void> {
    const { consumerTag } = await this.#channel.consume(queue, () => undefined, { priority: -1 })
    await this.#channel.cancel(consumerTag)
  }

  async #consume(): Promise<void> {
    const { request, member, settings } = this.#parts
    const { partitions } = request.topic
    // For each consumer: prefetch for a whole channel is refused since RabbitMQ 4.3.
    const prefetch = this.#isOrdered
      ? Math.max(1, Math.floor(request.prefetch / partitions))
      : request.prefetch
    await this.#channel.prefetch(Math.min(prefetch, 65_535), false)
    const priorities = partitionPriorities(member, partitions)
    const timeout = settings.consumerTimeout
    const args = timeout === undefined ? {} : { 'x-consumer-timeout': timeout }
    for (const [partition, queue] of this.#queues.entries()) {
      const { consumerTag } = await this.#channel.consume(
        queue,
        (message) => this.#onMessage(message, partition),
        {
          arguments: args,
          ...(this.#isOrdered && { priority: priorities[partition] ?? 0 }),
        },
      )
      this.#consumerTags.push(consumerTag)
    }
  }

  #onMessage(message: ConsumeMessage | null, partition: number): void {
    if (message === null) {
      const queue = this.#queues[partition]
      const error = new MessagingError(
        'topology-missing',
        `RabbitMQ cancelled the consumer of queue ${queue}; was it deleted?`,
        {
          retryable: true,
        },
      )
      // The other consumers are of no use without it: core subscribes again.
      this.#lose(error)
      return
    }
    const incoming = fromAmqp(message)
    const delivery = new RabbitmqDelivery(message, incoming, partition)
    this.#inHand.add(delivery)
    if (incoming.remainingMs > 0) void this.#sendRoundAgain(delivery, incoming.remainingMs)
    else {
      this.#ready.push(delivery)
      this.#wake?.()
    }
  }

  /** A message that came through a whole delay ladder and is not due yet. */
  async #sendRoundAgain(delivery: RabbitmqDelivery, delayMs: number): Promise<void> {
    delivery.settled = true
    const outcomes: Outcome[] = []
    await this.#copy(
      [{ index: 0, delivery, verdict: { kind: 'retry', delayMs, headers: delivery.headers } }],
      outcomes,
    )
    // It goes back into the queue with the subscription, and around again when core has subscribed anew.
    for (const outcome of outcomes) if (!outcome.ok) this.#lose(outcome.error)
  }

  #arrival(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || this.#lostBy !== undefined) return resolve()
      const done = () => {
        signal.removeEventListener('abort', done)
        this.#wake = undefined
        resolve()
      }
      this.#wake = done
      signal.addEventListener('abort', done, { once: true })
    })
  }

  #lose(error: MessagingError): void {
    if (this.#lostBy !== undefined) return
    this.#lostBy = error
    this.#ready = []
    const lost = [...this.#inHand].filter(({ settled }) => !settled)
    this.#inHand.clear()
    this.#wake?.()
    if (lost.length > 0) this.#onLost?.(lost)
  }

  #own(delivery: Delivery): RabbitmqDelivery | undefined {
    return delivery instanceof RabbitmqDelivery && this.#inHand.has(delivery) ? delivery : undefined
  }

  #ack(deliveries: readonly RabbitmqDelivery[]): void {
    const open = deliveries.filter((delivery) => this.#inHand.delete(delivery))
    try {
      for (const { delivery, multiple } of this.#acknowledgements.frames(open)) {
        this.#channel.ack(delivery.source, multiple)
      }
      if (this.#isOrdered) for (const { partition } of open) this.#acked.add(partition)
    } catch {
      // The channel has just closed: they are lost, and its `close` event tells.
    }
  }

  #release(deliveries: readonly RabbitmqDelivery[]): void {
    const open = deliveries.filter((delivery) => this.#inHand.delete(delivery))
    if (open.length === 0) return
    if (this.#isOrdered) {
      this.#takeBack(open)
      return
    }
    this.#acknowledgements.skip(open)
    try {
      for (const { source } of open) this.#channel.nack(source, false, true)
    } catch {
      // As above.
    }
  }

  /**
   * On an ordered topic what is given back comes to this very consumer again, but after what is in hand. So it does not go:
   * it is handed out once more from here, in its old place; and when the channel closes, all of it goes back in order.
   */
  #takeBack(deliveries: readonly RabbitmqDelivery[]): void {
    const again = deliveries.map((delivery) => delivery.again())
    for (const delivery of again) this.#inHand.add(delivery)
    this.#ready = [...this.#ready, ...again].sort((left, right) => left.tag - right.tag)
    this.#wake?.()
  }
}

async function declareBroadcastQueue(
  channel: Channel,
  { objects, request }: SubscriptionParts,
): Promise<string> {
  // Not a name to come back to: after a lost connection the broker may hold the old queue for a while yet.
  const name = `${request.topic.name}:${request.group.name}:broadcast:${randomUUID()}`
  await channel.assertQueue(name, {
    durable: false,
    exclusive: true,
    autoDelete: true,
    arguments: { 'x-queue-type': 'classic' },
  })
  for (const pattern of request.group.types) {
    await channel.bindQueue(name, objects.exchange.name, bindingKeyOf(request.topic, pattern, undefined))
  }
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
