import { headerNames } from '../driver/transport-headers.ts'
import { type Feature, messageBytes, type OutboundMessage } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import { currentMessage } from '../handling/handling.ts'
import { compose } from '../handling/middleware.ts'
import type { Clock } from '../lib/clock.ts'
import { toMilliseconds } from '../lib/duration.ts'
import {
  ConfigurationError,
  describe,
  InvalidMessageError,
  type Issue,
  MessagingError,
  toError,
  toMessagingError,
} from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { functionSchema, parseOptions } from '../lib/validation.ts'
import { encodeMessage } from '../messages/codec.ts'
import {
  type Message,
  type MessageDefinition,
  type Metadata,
  requireDefinition,
  type Validated,
  validateData,
  type Writable,
} from '../messages/message.ts'
import type { Topic } from '../messages/topic.ts'
import { BatchError } from './batch-error.ts'
import { ByteBudget } from './byte-budget.ts'
import type { Publisher } from './publisher.ts'
import {
  checkSendOptions,
  type ProducerOptions,
  producerSchema,
  type SendOptions,
  under,
} from './send-options.ts'

/** What a send middleware sees, and may change before it calls `next`. */
export interface SendContext {
  readonly definition: MessageDefinition
  data: unknown
  options: SendOptions
  /** There after `next`: as it was sent. */
  message: Message | undefined
}

export type SendMiddleware = (context: SendContext, next: () => Promise<void>) => Promise<void>

/** What a producer needs of its bus. */
export interface ProducerHost {
  readonly clock: Clock
  readonly publisher: Publisher
  readonly emit: Emit
  readonly maxMessageBytes: number
  /** The bus's, outside of the producer's own. */
  readonly middleware: readonly SendMiddleware[]
  /** Throws `closed` after the bus was closed. */
  ensureOpen(): void
  /** Throws `unsupported` when the driver lacks it. */
  require(feature: Feature, what: string): void
}

interface Prepared<Output> {
  readonly topic: Topic
  readonly message: Message<Output>
  readonly outbound: OutboundMessage
  readonly bytes: number
  readonly deadline: number
  readonly signal: AbortSignal | undefined
}

const noOptions: SendOptions = Object.freeze({})

/** Sends messages. Concurrent sends travel together; there is nothing to tune or to flush. */
export class Producer {
  readonly #host: ProducerHost
  readonly #source: string
  readonly #timeoutMs: number
  readonly #budget: ByteBudget
  readonly #middleware: SendMiddleware[] = []

  /** @internal Made by `bus.producer()`; the parameters may change in any version. */
  constructor(host: ProducerHost, options: ProducerOptions = {}) {
    const { source, timeout, maxInFlightBytes } = parseOptions(producerSchema(), options, 'producer options')
    this.#host = host
    this.#source = source
    this.#timeoutMs = timeout
    this.#budget = new ByteBudget(maxInFlightBytes)
  }

  /** Wraps every send from now on; the first added is the outermost. */
  use(middleware: SendMiddleware): this {
    parseOptions(functionSchema(), middleware, 'middleware of a producer')
    this.#middleware.push(middleware)
    return this
  }

  /**
   * Sends one message; resolves with it once the broker has taken responsibility.
   *
   * @throws {InvalidMessageError} listing every problem of data and options; nothing was sent.
   * @throws {MessagingError} otherwise, with `fate` telling whether the broker may have it after all. Sending again
   * with the same `id` is safe for idempotent consumers.
   */
  async send<Input, Output>(
    definition: MessageDefinition<Input, Output>,
    data: NoInfer<Input>,
    options: SendOptions = noOptions,
  ): Promise<Message<Output>> {
    this.#host.ensureOpen()
    requireDefinition(definition, 'send')
    if (!this.#hasMiddleware) {
      const prepared = this.#prepare(definition, data, options)
      return await this.#deliver(prepared instanceof Promise ? await prepared : prepared)
    }
    const context: SendContext = { definition, data, options, message: undefined }
    let sent: Message<Output> | undefined
    await compose([...this.#host.middleware, ...this.#middleware], context, async () => {
      sent = await this.#deliver(await this.#prepare(definition, context.data, context.options))
      context.message = sent
    })
    if (sent !== undefined) return sent
    const why = `A middleware ended the send of ${definition.type} without calling next`
    throw new MessagingError('aborted', why, { fate: 'not-sent' })
  }

  /**
   * Sends many; resolves once the broker has them all. All are validated before any is sent.
   *
   * @throws {InvalidMessageError} listing every problem, the item's index in each path; nothing was sent.
   * @throws {BatchError} naming exactly the messages that failed.
   */
  async sendBatch<Input, Output>(
    definition: MessageDefinition<Input, Output>,
    items: readonly NoInfer<Input>[],
    options: Omit<SendOptions, 'id'> = noOptions,
  ): Promise<Message<Output>[]> {
    this.#host.ensureOpen()
    requireDefinition(definition, 'sendBatch')
    if (!Array.isArray(items)) {
      const message = `expected an array of data, not ${describe(items)}`
      throw new ConfigurationError('sendBatch', [{ path: 'items', message }])
    }
    const prepared = await this.#prepareAll(definition, items, options)
    const settled = await Promise.allSettled(
      prepared.map((each, index) =>
        this.#hasMiddleware
          ? this.send(definition, items[index] as Input, { ...options, id: each.message.id })
          : this.#deliver(each),
      ),
    )
    const sent = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const failures = settled.flatMap((result, index) => {
      if (result.status === 'fulfilled') return []
      return [
        {
          index,
          id: prepared[index]?.message.id ?? '',
          error: toMessagingError(result.reason, 'Sending failed'),
        },
      ]
    })
    if (failures.length > 0) throw new BatchError(failures, sent)
    return sent
  }

  get #hasMiddleware(): boolean {
    return this.#middleware.length + this.#host.middleware.length > 0
  }

  async #prepareAll<Input, Output>(
    definition: MessageDefinition<Input, Output>,
    items: readonly Input[],
    options: SendOptions,
  ): Promise<Prepared<Output>[]> {
    const prepared: Prepared<Output>[] = []
    const issues = options === noOptions ? [] : checkSendOptions(options)
    if (options?.id !== undefined) {
      const message = 'each message of a batch gets an id of its own; use send to give one'
      issues.push({ path: 'options.id', message })
    }
    if (issues.length > 0) throw new InvalidMessageError(`batch of ${definition.type}`, issues)
    for (const [index, item] of items.entries()) {
      try {
        prepared.push(await this.#prepare(definition, item, options))
      } catch (error) {
        if (!(error instanceof InvalidMessageError)) throw error
        issues.push(...error.issues.map(({ path, message }) => ({ path: `${index}.${path}`, message })))
      }
    }
    if (issues.length > 0) throw new InvalidMessageError(`batch of ${definition.type}`, issues)
    return prepared
  }

  /** Validates and encodes. Synchronous when the schema is, which spares promises. */
  #prepare<Output>(
    definition: MessageDefinition<unknown, Output>,
    data: unknown,
    options: SendOptions,
  ): Prepared<Output> | Promise<Prepared<Output>> {
    const { topic } = definition
    if (topic.ordered) this.#host.require('ordered', `ordered topic "${topic.name}"`)
    const checked = check(definition, data)
    return checked instanceof Promise
      ? checked.then((validated) => this.#complete(definition, data, validated, options))
      : this.#complete(definition, data, checked, options)
  }

  /** The message as it will travel. The data travels as it was given: each consumer's schema parses it anew. */
  #complete<Output>(
    definition: MessageDefinition<unknown, Output>,
    data: unknown,
    validated: Validated<Output>,
    options: SendOptions,
  ): Prepared<Output> {
    const { topic, type } = definition
    const issues = options === noOptions ? [] : checkSendOptions(options)
    // What is no object has no fields to read below.
    if (typeof options !== 'object' || options === null)
      throw new InvalidMessageError(`message ${type}`, issues)
    if ('issues' in validated) issues.push(...under('data', validated.issues))
    let key: string | undefined
    try {
      key = options.key ?? ('value' in validated ? definition.key?.(validated.value) : undefined)
      if ('value' in validated) issues.push(...checkKey(topic, key))
    } catch (error) {
      issues.push({ path: 'key', message: `the key function threw: ${toError(error).message}` })
    }
    if (issues.length > 0 || !('value' in validated)) throw new InvalidMessageError(`message ${type}`, issues)
    if (options.delay !== undefined) this.#host.require('delay', 'send with a delay')
    if (options.priority !== undefined) this.#host.require('priority', 'send with a priority')
    const now = this.#host.clock.now()
    const message: Writable<Message<Output>> = {
      id: options.id ?? newId(),
      type,
      version: definition.version,
      timestamp: new Date(now),
      data: validated.value,
      metadata: this.#metadata(options),
    }
    if (key !== undefined) message.key = key
    if (options.expiresIn !== undefined) {
      message.expiresAt = new Date(now + toMilliseconds(options.expiresIn))
    }
    const outbound = this.#encode(definition, message, data, options)
    const timeoutMs = options.timeout === undefined ? this.#timeoutMs : toMilliseconds(options.timeout)
    return {
      topic,
      message,
      outbound,
      bytes: this.#measure(outbound),
      deadline: this.#host.clock.monotonic() + timeoutMs,
      signal: options.signal,
    }
  }

  #metadata(options: SendOptions): Metadata {
    const cause = currentMessage()
    // The usual case, without the copying below.
    if (cause === undefined && options === noOptions) return { source: this.#source }
    const correlationId = options.correlationId ?? cause?.metadata.correlationId ?? cause?.id
    const causationId = options.causationId ?? cause?.id
    return {
      ...(cause?.metadata.traceparent !== undefined && { traceparent: cause.metadata.traceparent }),
      ...(cause?.metadata.tracestate !== undefined && { tracestate: cause.metadata.tracestate }),
      ...options.metadata,
      source: this.#source,
      ...(correlationId !== undefined && { correlationId }),
      ...(causationId !== undefined && { causationId }),
    }
  }

  #encode(
    { topic }: MessageDefinition,
    message: Message,
    data: unknown,
    options: SendOptions,
  ): OutboundMessage {
    try {
      const { body, contentType, attributes, headers } = encodeMessage(message, data)
      const { priority } = options
      return {
        topic,
        type: message.type,
        id: message.id,
        key: message.key,
        body,
        contentType,
        attributes,
        headers: priority === undefined ? headers : { ...headers, [headerNames.priority]: String(priority) },
        delayMs: options.delay === undefined ? 0 : toMilliseconds(options.delay),
        priority,
        expiresAt: message.expiresAt?.getTime(),
      }
    } catch (error) {
      const issue = { path: 'data', message: `cannot be written as JSON: ${toError(error).message}` }
      throw new InvalidMessageError(`message ${message.type}`, [issue])
    }
  }

  #measure(outbound: OutboundMessage): number {
    const bytes = messageBytes(outbound)
    const { maxMessageBytes } = this.#host
    if (bytes <= maxMessageBytes) return bytes
    const what = `Message ${outbound.type} ${outbound.id} has ${bytes} bytes with its headers, the broker takes ${maxMessageBytes}`
    throw new MessagingError('too-large', `${what}; send a reference to the data instead. Nothing was sent`, {
      fate: 'not-sent',
    })
  }

  async #deliver<Output>(prepared: Prepared<Output>): Promise<Message<Output>> {
    const { message, outbound, bytes } = prepared
    if (prepared.signal?.aborted) throw refusal(outbound, 'aborted', 'the signal given to send was aborted')
    // Not by `#publish`, which would be one more promise for each send.
    if (this.#budget.tryTake(bytes)) {
      try {
        await this.#host.publisher.publish(prepared.topic, outbound, prepared)
      } finally {
        this.#budget.release(bytes)
      }
    } else await this.#publishWhenRoom(prepared)
    this.#host.emit('sent', { topic: outbound.topic.name, message })
    return message
  }

  async #publish(prepared: Prepared<unknown>): Promise<void> {
    try {
      await this.#host.publisher.publish(prepared.topic, prepared.outbound, prepared)
    } finally {
      this.#budget.release(prepared.bytes)
    }
  }

  #publishWhenRoom(prepared: Prepared<unknown>): Promise<void> {
    const { outbound, bytes, deadline, signal } = prepared
    const { clock } = this.#host
    return new Promise((resolve, reject) => {
      const leave = this.#budget.wait(bytes, () => {
        stop()
        this.#publish(prepared).then(resolve, reject)
      })
      const giveUp = (code: 'aborted' | 'timeout', why: string) => {
        stop()
        leave()
        reject(refusal(outbound, code, why))
      }
      const onAbort = () => giveUp('aborted', 'the signal given to send was aborted while it waited for room')
      const cancel = clock.after(Math.max(0, deadline - clock.monotonic()), () =>
        giveUp('timeout', 'the broker is slower than its senders and no room was left within the timeout'),
      )
      const stop = () => {
        cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}

/** What a schema throws is a problem of the data like any other: it may be one of them that made it throw. */
function check<Output>(
  { schema }: MessageDefinition<unknown, Output>,
  data: unknown,
): ReturnType<typeof validateData<Output>> {
  const thrown = (error: unknown) => ({
    issues: [{ path: '', message: `the schema threw: ${toError(error).message}` }],
  })
  try {
    const checked = validateData(schema, data)
    return checked instanceof Promise ? checked.catch(thrown) : checked
  } catch (error) {
    return thrown(error)
  }
}

function checkKey(topic: Topic, key: unknown): Issue[] {
  if (key === undefined && !topic.ordered) return []
  if (key === undefined) {
    const why = `topic "${topic.name}" is ordered and needs a key`
    return [{ path: 'key', message: `${why}: give defineMessage a key function, or send a key option` }]
  }
  if (typeof key === 'string' && key.length >= 1 && key.length <= 1024) return []
  return [{ path: 'key', message: 'the key function made something else than text of 1 to 1024 characters' }]
}

function refusal({ type, id }: OutboundMessage, code: 'aborted' | 'timeout', why: string): MessagingError {
  const options = { fate: 'not-sent', retryable: code === 'timeout' } as const
  return new MessagingError(code, `Message ${type} ${id} was not sent: ${why}`, options)
}
