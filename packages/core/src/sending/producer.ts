import type { Formats } from '../encoding/formats.ts'
import type { Emit } from '../events/events.ts'
import { currentMessage } from '../handling/handling.ts'
import type { Propagation } from '../handling/propagation.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import {
  ConfigurationError,
  describe,
  InvalidMessageError,
  MessagingError,
  toMessagingError,
} from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import type { Turns } from '../lib/turns.ts'
import { functionSchema, parseOptions } from '../lib/validation.ts'
import { within } from '../lib/within.ts'
import { type MessageDefinition, requireDefinition, type Validated } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { TraceContext } from '../messages/trace-context.ts'
import { BatchError } from './batch-error.ts'
import { ByteBudget } from './byte-budget.ts'
import {
  checkData,
  type Draft,
  draftMessage,
  encodeDraft,
  type Prepared,
  type Sender,
  startSend,
} from './prepare-message.ts'
import type { Publisher } from './publisher.ts'
import { type SendContext, type SendMiddleware, sendThrough } from './send-middleware.ts'
import {
  checkSendOptions,
  noOptions,
  type ProducerOptions,
  producerSchema,
  type SendOptions,
} from './send-options.ts'

/** What a producer needs of its bus. */
export interface ProducerHost {
  readonly formats: Formats
  readonly propagation: Propagation | undefined
  readonly driver: Sender['driver']
  readonly clock: Clock
  readonly publisher: Publisher
  /** Of all producers of the bus. */
  readonly turns: Turns
  readonly emit: Emit
  /** The bus's, outside of the producer's own. */
  readonly middleware: readonly SendMiddleware[]
  /** Throws `closed` after the bus was closed. */
  ensureOpen(): void
}

/**
 * Sends messages. Made by `bus.producer()`. Concurrent sends travel together; there is nothing to tune or flush.
 *
 * ```ts
 * const producer = bus.producer({ source: 'checkout' })
 * await Promise.all(orders.map((order) => producer.send(OrderPlaced, order)))
 * ```
 */
export class Producer {
  readonly #host: ProducerHost
  readonly #sender: Sender
  readonly #budget: ByteBudget
  readonly #middleware: SendMiddleware[] = []

  /** @internal Made by `bus.producer()`; the parameters may change in any version. */
  constructor(host: ProducerHost, options: ProducerOptions = {}) {
    const { source, timeout, maxInFlightBytes } = parseOptions(producerSchema(), options, 'producer options')
    this.#host = host
    this.#sender = { driver: host.driver, formats: host.formats, source, timeoutMs: timeout }
    this.#budget = new ByteBudget(maxInFlightBytes)
  }

  /**
   * Wraps every later send of this producer; the first middleware added is the outermost.
   *
   * ```ts
   * producer.use(async (context, next) => {
   *   context.options = { ...context.options, metadata: { tenant: currentTenant() } }
   *   await next()
   * })
   * ```
   *
   * @throws {ConfigurationError} when the middleware is not a function.
   */
  use(middleware: SendMiddleware): this {
    parseOptions(functionSchema(), middleware, 'middleware of a producer')
    this.#middleware.push(middleware)
    return this
  }

  /**
   * Sends one message. Resolves with it once the broker has taken responsibility, within `timeout` (30 s).
   *
   * ```ts
   * const { id } = await producer.send(OrderPlaced, { orderId: 'o-1', total: 42 }, { delay: '5s' })
   * ```
   *
   * @throws {InvalidMessageError} listing every problem of data and options; nothing was sent.
   * @throws {MessagingError} otherwise: `timeout`, `too-large`, `unsupported`, `rejected`, `aborted`, `closed`, … Its `fate`
   * is `not-sent`, or `unknown` if the broker may have the message. Sending again with the same `id` is safe for idempotent
   * consumers.
   */
  async send<Input, Output, Type extends string>(
    definition: MessageDefinition<Input, Output, string, Type>,
    data: NoInfer<Input>,
    options?: SendOptions,
  ): Promise<Message<Output, Type>>
  async send(
    definition: MessageDefinition,
    data: unknown,
    options: SendOptions = noOptions,
  ): Promise<Message> {
    this.#host.ensureOpen()
    requireDefinition(definition, 'send')
    if (!this.#hasMiddleware) return await this.#send(definition, data, options)
    return await this.#host.publisher.accept(
      `message ${definition.type}`,
      // Middleware may take as long as it likes: the timeout begins with the message.
      { deadline: Number.POSITIVE_INFINITY, signal: undefined },
      (begun) => this.#sendThrough(definition, data, options, undefined, begun),
    )
  }

  /**
   * Sends many messages. Resolves once the broker has them all. All are validated before any is sent.
   *
   * ```ts
   * const messages = await producer.sendBatch(OrderPlaced, orders, { metadata: { import: '2026-11' } })
   * ```
   *
   * @throws {InvalidMessageError} listing every problem, each path beginning with the item's index; nothing was sent.
   * @throws {BatchError} naming exactly the messages that failed.
   */
  async sendBatch<Input, Output, Type extends string>(
    definition: MessageDefinition<Input, Output, string, Type>,
    items: readonly NoInfer<Input>[],
    options?: Omit<SendOptions, 'id'>,
  ): Promise<Message<Output, Type>[]>
  async sendBatch(
    definition: MessageDefinition,
    items: readonly unknown[],
    options: Omit<SendOptions, 'id'> = noOptions,
  ): Promise<Message[]> {
    this.#host.ensureOpen()
    requireDefinition(definition, 'sendBatch')
    if (!Array.isArray(items)) {
      const message = `expected an array of data, not ${describe(items)}`
      throw new ConfigurationError('sendBatch', [{ path: 'items', message }])
    }
    const start = this.#start(options)
    return await this.#host.publisher.accept(`batch of ${definition.type}`, start, async (begun) => {
      const prepared = await this.#prepareAll(definition, items, options)
      begun()
      const settled = await Promise.allSettled(
        prepared.map((each, index) =>
          this.#hasMiddleware
            ? this.#sendThrough(definition, items[index], { ...options, id: each.message.id }, each)
            : this.#deliver(each),
        ),
      )
      return collect(prepared, settled)
    })
  }

  get #hasMiddleware(): boolean {
    return this.#middleware.length + this.#host.middleware.length > 0
  }

  #start(options: SendOptions) {
    return startSend(this.#sender, this.#host.clock, currentMessage(), this.#trace(), options)
  }

  /** Of the caller's context; without a propagation that of the message being handled. */
  #trace(): TraceContext | undefined {
    const { propagation, emit } = this.#host
    const inherited = currentMessage()?.metadata
    try {
      return propagation?.inject() ?? inherited
    } catch (error) {
      emit('failure', { what: 'propagation', error: toMessagingError(error, 'The propagation failed') })
      return undefined
    }
  }

  /** A message of a batch was prepared outside of its middleware, where another span may have been the current one. */
  #hasTrace({ message }: Prepared): boolean {
    const { propagation } = this.#host
    return propagation === undefined || this.#trace()?.traceparent === message.metadata.traceparent
  }

  /** Synchronous up to the driver when the schema is, which spares promises. */
  #send<Output>(
    definition: MessageDefinition<unknown, Output>,
    data: unknown,
    options: SendOptions,
  ): Promise<Message<Output>> {
    const start = this.#start(options)
    const checked = checkData(definition, data)
    const draft = (validated: Validated<Output>) =>
      draftMessage(this.#sender, definition, data, validated, options, start)
    const encoded =
      checked instanceof Promise ? checked.then(draft).then(this.#encode) : this.#encode(draft(checked))
    if (!(encoded instanceof Promise)) return this.#deliver(encoded)
    // Who gives up before it is encoded does not look at it.
    encoded.catch(() => {})
    return this.#host.publisher.accept(`message ${definition.type}`, start, async (begun) => {
      const prepared = await encoded
      begun()
      return this.#deliver(prepared)
    })
  }

  /** What was prepared before is sent as it is, unless the middleware put other data or options in place. */
  #sendThrough<Output>(
    definition: MessageDefinition<unknown, Output>,
    data: unknown,
    options: SendOptions,
    prepared: Prepared<Output> | undefined,
    begun = () => {},
  ): Promise<Message<Output>> {
    const context: SendContext = {
      definition,
      cause: currentMessage(),
      data,
      options,
      message: undefined,
    }
    return sendThrough([...this.#host.middleware, ...this.#middleware], context, () => {
      begun()
      const isUnchanged = context.data === data && context.options === options
      return prepared !== undefined && isUnchanged && this.#hasTrace(prepared)
        ? this.#deliver(prepared)
        : this.#send(definition, context.data, context.options)
    })
  }

  async #prepareAll<Output>(
    definition: MessageDefinition<unknown, Output>,
    items: readonly unknown[],
    options: SendOptions,
  ): Promise<Prepared<Output>[]> {
    const what = `batch of ${definition.type}`
    const issues = options === noOptions ? [] : checkSendOptions(options)
    if (options?.id !== undefined) {
      const message = 'each message of a batch gets an id of its own; use send to give one'
      issues.push({ path: 'options.id', message })
    }
    if (issues.length > 0) throw new InvalidMessageError(what, issues)
    const start = this.#start(options)
    const checks = await Promise.all(items.map((item) => checkData(definition, item)))
    const drafts: Draft<Output>[] = []
    for (const [index, checked] of checks.entries()) {
      try {
        drafts.push(draftMessage(this.#sender, definition, items[index], checked, options, start))
      } catch (error) {
        if (!(error instanceof InvalidMessageError)) throw error
        issues.push(...error.issues.map(({ path, message }) => ({ path: `${index}.${path}`, message })))
      }
    }
    if (issues.length > 0) throw new InvalidMessageError(what, issues)
    return Promise.all(drafts.map(this.#encode))
  }

  /** On an ordered topic in the order of the calls, however long codec and stages take; what may pass is tried again. */
  #encode = <Output>(draft: Draft<Output>): Prepared<Output> | Promise<Prepared<Output>> => {
    const { topic } = draft.definition
    const first = encodeDraft(this.#sender, draft)
    const encoded = first instanceof Promise ? this.#encodeInTime(draft, first) : first
    return topic.ordered
      ? this.#host.turns.take(JSON.stringify([topic.name, draft.message.key]), encoded)
      : encoded
  }

  async #encodeInTime<Output>(
    draft: Draft<Output>,
    first: Promise<Prepared<Output>>,
  ): Promise<Prepared<Output>> {
    const { clock } = this.#host
    const { deadline, signal } = draft.start
    let encoding = first
    for (let failures = 1; ; failures += 1) {
      const isOver = !(await within(clock, Math.max(0, deadline - clock.monotonic()), encoding))
      if (isOver) throw notEncoded(draft.definition)
      try {
        return await encoding
      } catch (error) {
        // A store or a registry may be away only for now.
        if (!MessagingError.is(error) || !error.retryable || signal?.aborted) throw error
        await sleep(clock, reconnectBackoff(failures), signal)
        encoding = Promise.resolve(encodeDraft(this.#sender, draft))
      }
    }
  }

  async #deliver<Output>(prepared: Prepared<Output>): Promise<Message<Output>> {
    const published = this.#host.publisher.publish(prepared, this.#budget)
    prepared.onHandedOver?.()
    await published
    this.#host.emit('sent', { topic: prepared.topic.name, message: prepared.message })
    return prepared.message
  }
}

function notEncoded({ type }: MessageDefinition): MessagingError {
  const what = `Message ${type} was not sent: its codec or a stage took longer than the timeout`
  return new MessagingError('timeout', what, { retryable: true, fate: 'not-sent' })
}

/** @throws {BatchError} when some were not sent. */
function collect<Output>(
  prepared: readonly Prepared<Output>[],
  settled: readonly PromiseSettledResult<Message<Output>>[],
): Message<Output>[] {
  const sent: Message<Output>[] = []
  const failures: BatchError['failures'][number][] = []
  for (const [index, result] of settled.entries()) {
    if (result.status === 'fulfilled') {
      sent.push(result.value)
      continue
    }
    const error = toMessagingError(result.reason, 'Sending failed')
    failures.push({ index, id: prepared[index]?.message.id ?? '', error })
  }
  if (failures.length > 0) throw new BatchError(failures, sent)
  return sent
}
