import type { SubscriptionRequest } from '@waybill/core/driver'
import type { Channel, ConsumeMessage } from 'amqplib'
import type { RabbitmqSettings } from '../options.ts'
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
  readonly onMessage: (message: ConsumeMessage | null, partition: number) => void
}

/** The consumers of one channel: on each queue one, and more where the prefetch has grown. */
export class Consumers {
  readonly #parts: ConsumersParts
  readonly #all: { readonly tag: string; readonly prefetch: number }[] = []
  /** The last change of the prefetch. */
  #resized: Promise<unknown> = Promise.resolve()
  #isOver = false

  constructor(parts: ConsumersParts) {
    this.#parts = parts
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
    const { channel, queues, isOrdered, request, member, settings, onMessage } = this.#parts
    const { partitions } = request.topic
    // For each consumer: prefetch for a whole channel is refused since RabbitMQ 4.3.
    const each = isOrdered ? Math.max(1, Math.floor(prefetch / partitions)) : prefetch
    await channel.prefetch(Math.min(each, 65_535), false)
    const priorities = partitionPriorities(member, partitions)
    const timeout = settings.consumerTimeout
    const args = timeout === undefined ? {} : { 'x-consumer-timeout': timeout }
    for (const [partition, queue] of queues.entries()) {
      const { consumerTag } = await channel.consume(queue, (message) => onMessage(message, partition), {
        arguments: args,
        ...(isOrdered && { priority: priorities[partition] ?? 0 }),
      })
      this.#all.push({ tag: consumerTag, prefetch: each })
    }
  }
}
