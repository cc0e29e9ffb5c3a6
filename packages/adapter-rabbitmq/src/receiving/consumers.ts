import type { SubscriptionRequest } from '@waybill/core/driver'
import type { Channel } from '../client/amqplib.ts'
import type { RabbitmqSettings } from '../options.ts'
import type { AmqpMessage } from '../wire/amqp.ts'
import { partitionPriorities } from '../wire/partitions.ts'

export interface ConsumersParts {
  readonly channel: Channel
  /** By partition. */
  readonly queues: readonly string[]
  /** Partitions that have one active consumer each. */
  readonly isOrdered: boolean
  readonly request: SubscriptionRequest
  readonly settings: RabbitmqSettings
  /** Unique to the subscription. */
  readonly member: string
  /** Null when the broker has cancelled the consumer. */
  readonly onMessage: (message: AmqpMessage | null, partition: number) => void
}

/** The consumers of one channel: on each queue one, and more where the prefetch has grown. */
export class Consumers {
  readonly #parts: ConsumersParts
  /** By partition. */
  readonly #priorities: number[]
  #all: { readonly tag: string; readonly partition: number; readonly prefetch: number }[] = []
  /** The last change of the prefetch. */
  #resized: Promise<unknown> = Promise.resolve()
  #isOver = false

  constructor(parts: ConsumersParts) {
    this.#parts = parts
    this.#priorities = partitionPriorities(parts.member, parts.request.topic.partitions)
  }

  /** Resolves when the broker has them. */
  async start(): Promise<void> {
    await this.#consume(this.#parts.request.prefetch)
  }

  /** Not for queues that have one consumer each. If it fails the channel has closed, and its `close` event tells. */
  resize(prefetch: number): void {
    const change = () => (this.#isOver ? undefined : this.#changePrefetch(prefetch))
    this.#resized = this.#resized.then(change).catch(() => undefined)
  }

  /** Leaves a partition that has one active consumer to the next one. */
  async leave(partition: number): Promise<void> {
    const leaving = this.#all.filter((consumer) => consumer.partition === partition)
    this.#all = this.#all.filter((consumer) => consumer.partition !== partition)
    for (const { tag } of leaving) await this.#parts.channel.cancel(tag)
  }

  /** Waits for its turn there again; behind all others, if the partition has been left to them. */
  async join(partition: number, isForOthers: boolean): Promise<void> {
    if (isForOthers) this.#priorities[partition] = behindAllOthers()
    await this.#consumeFrom(partition, partitionPrefetch(this.#parts.request))
  }

  async cancel(): Promise<void> {
    this.#isOver = true
    await this.#resized
    await Promise.all(this.#all.map(({ tag }) => this.#parts.channel.cancel(tag)))
  }

  /** The prefetch of a consumer is fixed, so there are several whose sum it is. What a cancelled one had stays in hand. */
  async #changePrefetch(wanted: number): Promise<void> {
    let rest = wanted - this.#all.reduce((sum, { prefetch }) => sum + prefetch, 0)
    while (rest < 0) {
      const last = this.#all.pop()
      if (last === undefined) break
      rest += last.prefetch
      await this.#parts.channel.cancel(last.tag)
    }
    if (rest > 0) await this.#consume(rest)
  }

  async #consume(prefetch: number): Promise<void> {
    const { channel, queues, isOrdered, request } = this.#parts
    // For each consumer: prefetch for a whole channel is refused since RabbitMQ 4.3.
    const each = isOrdered ? partitionPrefetch(request) : prefetch
    await channel.prefetch(Math.min(each, 65_535), false)
    for (const partition of queues.keys()) await this.#consumeFrom(partition, each)
  }

  async #consumeFrom(partition: number, prefetch: number): Promise<void> {
    const { channel, queues, isOrdered, settings, onMessage } = this.#parts
    const timeout = settings.consumerTimeout
    const { consumerTag } = await channel.consume(
      queues[partition] ?? '',
      (message) => onMessage(message, partition),
      {
        arguments: timeout === undefined ? {} : { 'x-consumer-timeout': timeout },
        ...(isOrdered && { priority: this.#priorities[partition] ?? 0 }),
      },
    )
    this.#all.push({ tag: consumerTag, partition, prefetch })
  }
}

// Whoever left last comes last, so that a partition goes from member to member until one keeps it. Seconds fit a priority, a
// signed number of 32 bits, until 2093.
const earliestSeconds = Date.UTC(2025, 0) / 1000
function behindAllOthers(): number {
  return -Math.max(1, Math.floor(Date.now() / 1000) - earliestSeconds)
}

/** How many messages of one partition an ordered consumer has in hand at most. */
export function partitionPrefetch({ prefetch, topic }: SubscriptionRequest): number {
  return Math.max(1, Math.floor(prefetch / topic.partitions))
}
