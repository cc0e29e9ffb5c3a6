import { randomUUID } from 'node:crypto'
import {
  type Delivery,
  type HandoverListener,
  MessagingError,
  type Outcome,
  type Settlement,
  type Subscription,
  type TopicSpec,
} from '@waybill/core/driver'
import { done } from '@waybill/core/driver-kit'
import type { Link } from '../connection/link.ts'
import { toDriverError } from '../errors.ts'
import { bindQueue } from '../topology/declarations.ts'
import { RabbitmqDelivery } from '../wire/delivery.ts'
import { describeGroup } from '../wire/names.ts'
import { behindAllOthers, partitionPriorities } from '../wire/partitions.ts'
import { partitionPrefetch } from './consumers.ts'
import { Handovers } from './handovers.ts'
import { QueueReader, type ReadingParts } from './queue-reader.ts'
import { ReadyDeliveries } from './ready-deliveries.ts'

export interface SubscriptionParts extends ReadingParts {
  /** Unique to the subscription. */
  readonly member: string
  readonly onClosed: (subscription: RabbitmqSubscription) => void
}

/** A reader for each of the group's queues. It lives as long as all of them do. */
export class RabbitmqSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #parts: SubscriptionParts
  readonly #queues: readonly string[]
  /** On ordered topics: how this member ranks among those of each partition. */
  readonly #priorities: number[] | undefined
  /** By partition. */
  readonly #readers = new Map<number, QueueReader>()
  /** On ordered topics. */
  readonly #handovers: Handovers | undefined
  readonly #ready = new ReadyDeliveries()
  readonly #changes = new Set<Promise<void>>()
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #onHandover: HandoverListener | undefined
  #lostBy: MessagingError | undefined
  #closing: Promise<void> | undefined

  private constructor(parts: SubscriptionParts, queues: readonly string[]) {
    this.#parts = parts
    this.#queues = queues
    const { clock, request, member } = parts
    if (!request.topic.ordered || request.broadcast) return
    this.#priorities = partitionPriorities(member, request.topic.partitions)
    this.#handovers = new Handovers({
      clock,
      readers: () => this.#readers.values(),
      prefetch: partitionPrefetch(request),
      giveBack: (deliveries) => this.#leave(deliveries),
      handOver: (reader, isForOthers) => this.#noting(this.#handOver(reader, isForOthers)),
    })
  }

  /** Resolves when the broker has all its consumers. */
  static async open(parts: SubscriptionParts): Promise<RabbitmqSubscription> {
    const { link, request } = parts
    const what = `Subscribing to ${request.topic.name} as ${request.group.name} failed`
    try {
      return await link.bounded(what, RabbitmqSubscription.#start(parts))
    } catch (error) {
      throw toDriverError(error, what)
    }
  }

  static async #start(parts: SubscriptionParts): Promise<RabbitmqSubscription> {
    const { objects, request, link } = parts
    const queues = request.broadcast
      ? [await declareBroadcastQueue(link, parts)]
      : describeGroup(objects, request.group.name).queues.map(({ name }) => name)
    const subscription = new RabbitmqSubscription(parts, queues)
    try {
      await Promise.all(queues.map((_, partition) => subscription.#read(partition)))
    } catch (error) {
      void subscription.close()
      throw error
    }
    return subscription
  }

  /** How many deliveries it has in hand. */
  get size(): number {
    return [...this.#readers.values()].reduce((sum, { inHand }) => sum + inHand.size, 0)
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
    const [only] = this.#readers.values()
    if (only !== undefined && this.#readers.size === 1 && this.#handovers === undefined) {
      return only.settle(settlements, signal)
    }
    const outcomes = new Array<Outcome>(settlements.length).fill(done)
    const byPartition = Map.groupBy(settlements.entries(), ([, { delivery }]) =>
      delivery instanceof RabbitmqDelivery ? delivery.partition : undefined,
    )
    const settling = [...byPartition].map(async ([partition, entries]) => {
      const reader = partition === undefined ? undefined : this.#readers.get(partition)
      const own = await reader?.settle(
        entries.map(([, settlement]) => settlement),
        signal,
      )
      for (const [position, [index]] of entries.entries()) outcomes[index] = own?.[position] ?? done
    })
    await Promise.all(settling)
    this.#handovers?.complete()
    return outcomes
  }

  resize(prefetch: number): void {
    if (this.#handovers !== undefined || this.#parts.request.broadcast || this.#lostBy !== undefined) return
    for (const reader of this.#readers.values()) reader.resize(prefetch)
  }

  async extend(): Promise<void> {
    // RabbitMQ has no leases: what is in hand stays so until the channel closes or the consumer timeout ends it.
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#onLost = listener
  }

  onHandover(listener: HandoverListener): void {
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
      // The channels are gone, and the broker has given back what was in hand itself.
    }
    for (const reader of this.#readers.values()) reader.lose()
    this.#parts.onClosed(this)
  }

  async #giveBack(): Promise<void> {
    await Promise.all(this.#changes)
    await Promise.allSettled([...this.#readers.values()].map((reader) => reader.close()))
  }

  async #read(partition: number): Promise<void> {
    const reader = await QueueReader.open({
      ...this.#parts,
      queue: this.#queues[partition] ?? '',
      partition,
      priority: this.#priorities?.[partition],
      onArrived: () => this.#handovers?.arrived(partition),
      onReady: (delivery) => this.#ready.add(delivery),
      onAgain: (deliveries) => this.#ready.addAgain(deliveries),
      onBusy: (work) => void this.#ready.holdDuring(work),
      onForOthers: () => this.#handovers?.leaveToOthers(reader),
      onLost: (error) => this.#lose(error),
    })
    // Before the first message can be settled.
    this.#readers.set(partition, reader)
    if (this.#lostBy === undefined) await reader.start()
    // It has ended meanwhile, and perhaps without this one.
    if (this.#lostBy !== undefined) await reader.close()
  }

  /** What it had in hand is back in its place before another member gets anything. */
  async #handOver(reader: QueueReader, isForOthers: boolean): Promise<void> {
    const { partition } = reader
    if (isForOthers && this.#priorities !== undefined) this.#priorities[partition] = behindAllOthers()
    const what = `Handing over ${this.#queues[partition]} failed`
    try {
      await this.#parts.link.bounded(what, reader.close())
      if (this.#lostBy === undefined) await this.#parts.link.bounded(what, this.#read(partition))
    } catch (error) {
      this.#lose(toDriverError(error, what))
    }
  }

  async #noting(change: Promise<void>): Promise<void> {
    this.#changes.add(change)
    await change
    this.#changes.delete(change)
  }

  /** Core need not be told about what it has not fetched yet. */
  #leave(deliveries: readonly Delivery[]): void {
    this.#ready.drop((delivery) => this.#readers.get(delivery.partition)?.inHand.keep(delivery) ?? false)
    this.#onHandover?.(deliveries)
  }

  #lose(error: MessagingError): void {
    if (this.#lostBy !== undefined) return
    this.#lostBy = error
    this.#handovers?.close()
    // The other readers are of no use without it: core subscribes again.
    const lost = [...this.#readers.values()].flatMap((reader) => reader.lose())
    this.#ready.close()
    if (lost.length > 0) this.#onLost?.(lost)
  }
}

async function declareBroadcastQueue(link: Link, { objects, request }: SubscriptionParts): Promise<string> {
  // Not a name that could be used again: after a lost connection the broker may hold the old queue for a while yet.
  const name = `${request.topic.name}:${request.group.name}:broadcast:${randomUUID()}`
  await link.withChannel(`Creating queue ${name} failed`, async (channel) => {
    await channel.assertQueue(name, {
      durable: false,
      exclusive: true,
      autoDelete: true,
      arguments: { 'x-queue-type': 'classic' },
    })
    await bindQueue(channel, name, objects, request.group.types, undefined)
  })
  return name
}
