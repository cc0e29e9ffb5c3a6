import { z } from 'zod'
import { type MessagingError, toMessagingError } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { Consumer, type ConsumerHost } from './consumer.ts'

export interface StreamOptions {
  /** Ends the stream. */
  readonly signal?: AbortSignal
}

const optionsSchema = lazily(() => z.strictObject({ signal: z.instanceof(AbortSignal).optional() }))

// Of messages that the loop has not taken yet: beyond that they stay at the broker.
const mostInHand = 1000

// A loop may take as long as it likes, which is not a handler that hangs.
const stuckAfter = '365d'

/**
 * The messages of one type that are sent from `ready` on, whoever handles them: it takes none away. Made by
 * `bus.on(definition)`. Leaving the loop leaves nothing behind.
 *
 * ```ts
 * const placed = bus.on(OrderPlaced)
 * await placed.ready
 * await checkout(cart)
 * for await (const { data } of placed) {
 *   assert.equal(data.total, 42)
 *   break
 * }
 * ```
 */
export class MessageStream<Data = unknown, Type extends string = string>
  implements AsyncIterableIterator<Message<Data, Type>, undefined>, AsyncDisposable
{
  /**
   * Resolves once it is subscribed: what is sent afterwards will come. Rejects when the broker refuses, and when it ends before.
   *
   * ```ts
   * await placed.ready
   * ```
   */
  readonly ready: Promise<void>
  readonly #consumer: Consumer
  readonly #ending = new AbortController()
  readonly #queue: Message<Data, Type>[] = []
  /** Calls of `next` that wait for a message. */
  readonly #takers: PromiseWithResolvers<Result<Data, Type>>[] = []
  /** Handlers that wait for room. */
  readonly #held: (() => void)[] = []
  #isStarted = false
  #failure: MessagingError | undefined
  #stopped: Promise<unknown> | undefined

  /** @internal Made by `bus.on()`; the parameters may change in any version. */
  constructor(
    host: ConsumerHost,
    adopt: (consumer: Consumer) => void,
    definition: MessageDefinition<unknown, Data, string, Type>,
    options: unknown = {},
  ) {
    const { signal } = parseOptions(optionsSchema(), options, `options of on(${definition.type})`)
    const end = () => void this.#end()
    const forget = (consumer: Consumer) => {
      signal?.removeEventListener('abort', end)
      host.forget(consumer)
      // What fails to start stops too: `start` tells of it.
      if (this.#isStarted) end()
    }
    // A name of its own: consumers of one group and process can be one to the broker, even in a broadcast.
    this.#consumer = new Consumer({ ...host, forget }, `stream-${newId()}`, {
      broadcast: true,
      stuckAfter,
      retry: { attempts: 1 },
    }).on({ ...definition, reply: undefined }, (message) => this.#take(message))
    adopt(this.#consumer)
    signal?.addEventListener('abort', end, { once: true })
    if (signal?.aborted) end()
    this.ready = this.#start()
    // Not everybody waits for it: `next` tells of it too.
    this.ready.catch(() => {})
  }

  /**
   * The next message, in the order in which they came.
   *
   * ```ts
   * const { value } = await placed.next()
   * ```
   *
   * @throws {MessagingError} once, when it could not be subscribed; then it has ended.
   */
  next(): Promise<Result<Data, Type>> {
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) return Promise.reject(failure)
    if (this.#ending.signal.aborted) return Promise.resolve({ done: true, value: undefined })
    const message = this.#queue.shift()
    if (message === undefined) {
      const taker = Promise.withResolvers<Result<Data, Type>>()
      this.#takers.push(taker)
      return taker.promise
    }
    this.#held.shift()?.()
    return Promise.resolve({ done: false, value: message })
  }

  /**
   * Ends the stream, as leaving the loop does.
   *
   * ```ts
   * await placed.return()
   * ```
   */
  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.#end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
  }

  async #start(): Promise<void> {
    try {
      await this.#consumer.start({ signal: this.#ending.signal })
      this.#isStarted = true
    } catch (thrown) {
      const error = toMessagingError(thrown, 'The subscription failed')
      // Ended by its user, or with the bus, while it was starting: that is no failure of the loop.
      const isEnded = this.#ending.signal.aborted || error.code === 'closed'
      const first = isEnded ? undefined : this.#takers.shift()
      if (first !== undefined) first.reject(error)
      else if (!isEnded) this.#failure = error
      await this.#end()
      throw error
    }
  }

  /** Resolves when the message counts as handled: at once while there is room. */
  #take(message: Message<Data, Type>): undefined | Promise<void> {
    if (this.#ending.signal.aborted) return undefined
    const taker = this.#takers.shift()
    if (taker !== undefined) taker.resolve({ done: false, value: message })
    else if (this.#queue.push(message) > mostInHand) {
      return new Promise((resolve) => {
        this.#held.push(resolve)
      })
    }
    return undefined
  }

  async #end(): Promise<void> {
    this.#ending.abort()
    this.#queue.length = 0
    for (const taker of this.#takers.splice(0)) taker.resolve({ done: true, value: undefined })
    for (const release of this.#held.splice(0)) release()
    this.#stopped ??= this.#consumer.stop()
    // One that is still being made is closed when it comes.
    if (this.#isStarted) await this.#stopped
  }
}

type Result<Data, Type extends string> = IteratorResult<Message<Data, Type>, undefined>
