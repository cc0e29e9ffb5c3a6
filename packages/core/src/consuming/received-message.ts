import { z } from 'zod'
import { AttemptContext, type HandlerContext } from '../deliveries/handler-context.ts'
import type { DeliveryInfo } from '../events/events.ts'
import { AskedVerdict, askedRelease } from '../handling/asked-verdict.ts'
import { PullLoop } from '../handling/handling.ts'
import type { Duration } from '../lib/duration.ts'
import { durationSchema } from '../lib/duration-schema.ts'
import { MessagingError } from '../lib/errors.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { Consumer } from './consumer.ts'

const retryOptionsSchema = lazily(() => z.strictObject({ delay: durationSchema().optional() }))
const reasonSchema = lazily(() => z.string().min(1))

/**
 * A pulled message, to be settled by hand. Its lease is renewed until then. Settling it twice, or after it has been lost
 * (see `signal`), has no effect.
 *
 * ```ts
 * for await (const { data, ack, retry } of bus.receive(OrderPlaced, { group: 'shipping' })) {
 *   if (await ship(data)) await ack()
 *   else await retry({ delay: '10m' })
 * }
 * ```
 */
export class ReceivedMessage<Data = unknown, Type extends string = string> {
  readonly message: Message<Data, Type>
  readonly #context: HandlerContext
  readonly #settle: (asked: AskedVerdict | undefined) => void

  /** @internal Made by `bus.receive()`; the parameters may change in any version. */
  constructor(
    message: Message<Data, Type>,
    context: HandlerContext,
    settle: (asked: AskedVerdict | undefined) => void,
  ) {
    this.message = message
    this.#context = context
    this.#settle = settle
  }

  /** @internal What its events tell. */
  static infoOf(received: ReceivedMessage): DeliveryInfo {
    const { message } = received
    const { topic, group, attempt, deliveries } = received.#context
    return { topic, group, attempt, deliveries, message }
  }

  /** The message's data: the same as `message.data`. */
  get data(): Data {
    return this.message.data
  }

  /** 1 on the first attempt, one more with each scheduled retry. */
  get attempt(): number {
    return this.#context.attempt
  }

  /** How often the broker has handed this copy out, for people. */
  get deliveries(): number {
    return this.#context.deliveries
  }

  /** Fires when the message is no longer ours: its lease ran out, or its partition went to another member. */
  get signal(): AbortSignal {
    return this.#context.signal
  }

  // Properties, so that they can be destructured like the data.

  /**
   * The message is done. Resolves once the broker has confirmed it, or the message is lost.
   *
   * ```ts
   * await delivery.ack()
   * ```
   */
  readonly ack = (): Promise<void> => {
    this.#settle(undefined)
    return this.#settled()
  }

  /**
   * The attempt failed. The message comes back after `delay`, or by the retry policy, or goes to the dead letters when its
   * attempts are used up.
   *
   * ```ts
   * await delivery.retry({ delay: '10m' })
   * ```
   *
   * @throws {ConfigurationError} when the delay is not a duration.
   */
  readonly retry = async (options: { readonly delay?: Duration } = {}): Promise<void> => {
    const { delay } = parseOptions(retryOptionsSchema(), options, 'retry options')
    this.#settle(new AskedVerdict({ kind: 'retry', delay }))
    return this.#settled()
  }

  /**
   * Sends the message to the dead letters at once; the reason must not be empty.
   *
   * ```ts
   * await delivery.deadLetter('address unknown')
   * ```
   *
   * @throws {ConfigurationError} when the reason is empty.
   */
  readonly deadLetter = async (reason: string): Promise<void> => {
    parseOptions(reasonSchema(), reason, 'reason of a dead letter')
    this.#settle(new AskedVerdict({ kind: 'dead-letter', reason }))
    return this.#settled()
  }

  /**
   * Gives the message back to the group at once, without counting an attempt.
   *
   * ```ts
   * await delivery.release()
   * ```
   */
  readonly release = (): Promise<void> => {
    this.#settle(askedRelease)
    return this.#settled()
  }

  #settled(): Promise<void> {
    return AttemptContext.whenSettled(this.#context)
  }
}

/** Pulls the messages of one type through a consumer whose handlers wait for their message to be settled by hand. */
export function pull<Input, Output, Type extends string>(
  createConsumer: (onStopped: () => void) => Consumer,
  definition: MessageDefinition<Input, Output, string, Type>,
  signal: AbortSignal | undefined,
  onReceived: (info: DeliveryInfo) => void,
): AsyncIterableIterator<ReceivedMessage<Output, Type>> {
  const ended = new AbortController()
  const end = () => ended.abort()
  const messages = untilEnded(() => createConsumer(end), definition, ended, signal)
  const loop = new PullLoop()
  return {
    next: () => {
      const next = messages.next()
      const handle = loop.enter()
      return next.then((result) => {
        if (!result.done) {
          handle(result.value.message)
          onReceived(ReceivedMessage.infoOf(result.value))
        }
        return result
      })
    },
    // A generator that waits for a message would hear of this only with the next message.
    return: () => {
      end()
      loop.leave()
      return messages.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

async function* untilEnded<Input, Output, Type extends string>(
  createConsumer: () => Consumer,
  definition: MessageDefinition<Input, Output, string, Type>,
  controller: AbortController,
  signal: AbortSignal | undefined,
): AsyncGenerator<ReceivedMessage<Output, Type>, undefined> {
  const ended = controller.signal
  const end = () => controller.abort()
  const queue: ReceivedMessage<Output, Type>[] = []
  const unsettled = new Set<ReceivedMessage<Output, Type>>()
  let wake = () => {}
  // What is settled by hand has no return value to reply with.
  const consumer = createConsumer().on({ ...definition, reply: undefined }, (message, context) => {
    const { promise, resolve } = Promise.withResolvers<AskedVerdict | undefined>()
    const received = new ReceivedMessage(message, context, resolve)
    unsettled.add(received)
    context.signal.addEventListener('abort', () => resolve(askedRelease), { once: true })
    queue.push(received)
    wake()
    return promise.finally(() => unsettled.delete(received))
  })
  ended.addEventListener('abort', () => wake(), { once: true })
  let isStarted = false
  signal?.addEventListener('abort', end, { once: true })
  try {
    if (signal?.aborted) end()
    if (ended.aborted) return
    await consumer.start({ signal: ended })
    isStarted = true
    while (!ended.aborted) {
      const next = queue.shift()
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      } else if (!next.signal.aborted) yield next
    }
  } catch (error) {
    // Ended by its user, or with the bus, while it was starting: that is no failure.
    if (!ended.aborted || !MessagingError.is(error) || !/^(aborted|closed)$/.test(error.code)) throw error
  } finally {
    signal?.removeEventListener('abort', end)
    for (const received of unsettled) void received.release()
    const stopped = consumer.stop()
    if (isStarted) await stopped
  }
}
