import type { SubscriptionRequest } from '@waybill/core/driver'
import type { Channel } from '../client/amqplib.ts'
import type { RabbitmqSettings } from '../options.ts'
import type { AmqpMessage } from '../wire/amqp.ts'

export interface ConsumersParts {
  readonly channel: Channel
  readonly queue: string
  readonly request: SubscriptionRequest
  readonly settings: RabbitmqSettings
  /** Among the members of a partition, which has one active consumer; undefined on queues that share. */
  readonly priority: number | undefined
  /** Null when the broker has cancelled the consumer. */
  readonly onMessage: (message: AmqpMessage | null) => void
}

/** The consumers of one channel on one queue: one, and more where the prefetch has grown. */
export class Consumers {
  readonly #parts: ConsumersParts
  #all: { readonly tag: string; readonly prefetch: number }[] = []
  /** The last change of the prefetch. */
  #resized: Promise<unknown> = Promise.resolve()
  #isOver = false

  constructor(parts: ConsumersParts) {
    this.#parts = parts
  }

  /** Resolves when the broker has them. */
  async start(): Promise<void> {
    const { request, priority } = this.#parts
    await this.#consume(priority === undefined ? request.prefetch : partitionPrefetch(request))
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
    const { channel, queue, settings, priority, onMessage } = this.#parts
    // For each consumer: prefetch for a whole channel is refused since RabbitMQ 4.3.
    await channel.prefetch(Math.min(prefetch, 65_535), false)
    const timeout = settings.consumerTimeout
    const { consumerTag } = await channel.consume(queue, onMessage, {
      arguments: timeout === undefined ? {} : { 'x-consumer-timeout': timeout },
      ...(priority !== undefined && { priority }),
    })
    this.#all.push({ tag: consumerTag, prefetch })
  }
}

/** How many messages of one partition an ordered consumer has in hand at most. */
export function partitionPrefetch({ prefetch, topic }: SubscriptionRequest): number {
  return Math.max(1, Math.floor(prefetch / topic.partitions))
}
