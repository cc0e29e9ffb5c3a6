import { AsyncLocalStorage } from 'node:async_hooks'
import { Consumer, type ConsumerHost } from '../consuming/consumer.ts'
import type { WorkerHealth } from '../consuming/worker.ts'
import type { MessagingError } from '../lib/errors.ts'
import type { Message } from '../messages/message.ts'
import type { Topic } from '../messages/topic.ts'
import { replyType } from './reply-message.ts'

// Long enough for every request, each of which waits as long as it likes: while the broker is away it is tried again.
const startTimeout = '7d'

/** The subscription that brings replies: made with the first request, one for all. */
export class Inbox {
  readonly id: string
  readonly #host: ConsumerHost
  readonly #topic: Topic
  readonly #take: (message: Message) => unknown
  #consumer: Consumer | undefined
  #started: Promise<void> | undefined
  #isClosed = false
  /** The first request may come from a handler, whose context is not that of all replies. */
  readonly #inOwnContext = AsyncLocalStorage.snapshot()

  constructor(id: string, host: ConsumerHost, topic: Topic, take: (message: Message) => unknown) {
    this.id = id
    this.#host = host
    this.#topic = topic
    this.#take = take
  }

  /** Resolves once replies arrive. Rejects when the broker refuses; the next call tries again. */
  ready(): Promise<void> {
    this.#started ??= this.#inOwnContext(() => this.#start())
    return this.#started
  }

  /** Why it does not receive at the moment. */
  get error(): MessagingError | undefined {
    return this.health()[0]?.error
  }

  health(): readonly WorkerHealth[] {
    // What goes to the inboxes of others passes by on some brokers.
    return this.#consumer?.health().map(({ skipped: _, ...health }) => health) ?? []
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#consumer?.stop({ timeout: 0 })
    this.#consumer = undefined
  }

  async #start(): Promise<void> {
    const consumer = new Consumer(this.#host, 'replies', {
      broadcast: true,
      concurrency: 100,
      retry: { attempts: 1 },
    }).on(this.#topic, replyType(this.id), this.#take)
    this.#consumer = consumer
    try {
      if (!this.#isClosed) await consumer.start({ timeout: startTimeout })
    } catch (error) {
      this.#started = undefined
      this.#consumer = undefined
      throw error
    }
  }
}
