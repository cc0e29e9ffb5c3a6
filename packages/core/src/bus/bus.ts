import { z } from 'zod'
import { requireWithinLimits } from '../consuming/broker-limits.ts'
import { Consumer, type ConsumerHost } from '../consuming/consumer.ts'
import { type ConsumerOptions, maxConcurrency, receiveSchema } from '../consuming/consumer-options.ts'
import { Memberships } from '../consuming/memberships.ts'
import { MessageStream, type StreamOptions } from '../consuming/message-stream.ts'
import { pull, type ReceivedMessage } from '../consuming/received-message.ts'
import type { WorkerHealth } from '../consuming/worker.ts'
import { HandledInVain } from '../deliveries/handled-in-vain.ts'
import type { Capabilities, Driver, TopologyReport } from '../driver.ts'
import { Formats } from '../encoding/formats.ts'
import type {
  AnyBusEvent,
  BusEmitter,
  BusEvents,
  BusListener,
  Emit,
  ObserverOptions,
} from '../events/events.ts'
import type { BatchMiddleware } from '../handling/batch-collector.ts'
import { isHandling } from '../handling/handling.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import { type Propagation, propagationSchema } from '../handling/propagation.ts'
import type { Clock } from '../lib/clock.ts'
import { type Duration, toMilliseconds } from '../lib/duration.ts'
import { durationSchema } from '../lib/duration-schema.ts'
import { ConfigurationError, describe, MessagingError, toMessagingError } from '../lib/errors.ts'
import { Turns } from '../lib/turns.ts'
import { functionSchema, lazily, parseOptions } from '../lib/validation.ts'
import { within } from '../lib/within.ts'
import type { BodyFormat } from '../messages/body-format.ts'
import {
  isDefinition,
  type MessageDefinition,
  type RequestDefinition,
  requireDefinition,
  requireRequest,
} from '../messages/definition.ts'
import { definedTopicSchema, nameSchema, requireDeclared, type Topic } from '../messages/topic.ts'
import { ReplyMessages, usualReplyTopic } from '../requesting/reply-message.ts'
import { ReplySender } from '../requesting/reply-sender.ts'
import { type RequestOptions, Requests } from '../requesting/requests.ts'
import { Producer, type ProducerHost } from '../sending/producer.ts'
import { Publisher } from '../sending/publisher.ts'
import type { SendMiddleware } from '../sending/send-middleware.ts'
import type { ProducerOptions } from '../sending/send-options.ts'
import { decompress } from '../stages/compress.ts'
import { requireFeature } from '../topology/features.ts'
import { Provisioner, type ProvisionMode } from '../topology/provisioner.ts'
import { Administration } from './administration.ts'
import { Group } from './group.ts'
import { type Health, type HealthOptions, healthOf } from './health.ts'
import type { NativeClients } from './native-clients.ts'

interface PullOptions
  extends Pick<
    ConsumerOptions,
    'lease' | 'maxLease' | 'retry' | 'maxDeliveries' | 'unhandled' | 'unhandledAfter' | 'from'
  > {
  /** Messages in hand at once at most. Default: 16. */
  readonly prefetch?: number
  /** Ends the loop. */
  readonly signal?: AbortSignal
}

/** A group its topic declares; or any, with `allowUndeclaredGroup`. */
export type ReceiveOptions<Group extends string = string> = PullOptions &
  (
    | { readonly group: Group; readonly allowUndeclaredGroup?: false }
    | { readonly group: string; readonly allowUndeclaredGroup: true }
  )

export interface GroupOptions {
  /** Accepts a group that the topic does not declare, even though it declares others. Default: false. */
  readonly allowUndeclaredGroup?: boolean
}

/** Consumers of these may have any group. */
type AnyGroup = { readonly allowUndeclaredGroup: true } | { readonly broadcast: true }

const middlewareSchema = lazily(() =>
  z
    .strictObject({
      send: functionSchema().optional(),
      handle: functionSchema().optional(),
      handleBatch: functionSchema().optional(),
      propagation: propagationSchema().optional(),
    })
    .refine(
      (middleware) => Object.values(middleware).some((each) => each !== undefined),
      'expected at least one of send, handle, handleBatch and propagation',
    ),
)

interface Closer {
  readonly end: (options: { readonly timeout: number }) => unknown
}

const closerSchema = lazily(() => z.object({ end: functionSchema() }))

const closeSchema = lazily(() => z.strictObject({ timeout: durationSchema().default('10s') }))

const provisionSchema = lazily(() =>
  z.strictObject({ dryRun: z.boolean().default(false), signal: z.instanceof(AbortSignal).optional() }),
)

const topicsSchema = lazily(() => z.array(definedTopicSchema()))

const groupArgumentsSchema = lazily(() => z.object({ topic: definedTopicSchema(), group: nameSchema() }))

const groupSchema = lazily(() => z.strictObject({ allowUndeclaredGroup: z.boolean().default(false) }))

export interface BusMiddleware {
  readonly send?: SendMiddleware
  readonly handle?: HandlerMiddleware
  /** Around each call of a batch handler; `handle` sees its messages one by one. */
  readonly handleBatch?: BatchMiddleware
  /** Instead of that of `connect`; a bus has one. */
  readonly propagation?: Propagation
}

export interface ProvisionOptions {
  /** Changes nothing, in any mode: the report's `missing` names what does not exist. Default: false. */
  readonly dryRun?: boolean
  /** Gives it up; what has been made by then stays. */
  readonly signal?: AbortSignal
}

export interface CloseOptions {
  /** How long running handlers and pending sends get. Default: 10 s. */
  readonly timeout?: Duration
}

// Of a pull loop.
const usualPrefetch = 16

// What the broker's client gets for closing its connections, beyond what consumers and sends get.
const graceMs = 2000

/**
 * A connection to a broker and everything that goes through it. Made by `connect`.
 *
 * ```ts
 * const bus = await connect({ url: 'amqp://localhost' })
 * await bus.consumer('billing').on(OrderPlaced, ({ data }) => charge(data)).start()
 * await bus.producer().send(OrderPlaced, { orderId: 'o-1', total: 42 })
 * await bus.close()
 * ```
 */
export class Bus implements AsyncDisposable {
  /** Lists and deletes topics and groups, and cancels delayed messages, on a person's explicit request. */
  readonly administration: Administration
  readonly #driver: Driver
  readonly #events: BusEmitter
  readonly #clock: Clock
  readonly #provisioner: Provisioner
  readonly #publisher: Publisher
  readonly #consumers = new Set<Consumer>()
  readonly #streams = new Set<MessageStream>()
  readonly #host: ConsumerHost
  readonly #sendMiddleware: SendMiddleware[] = []
  readonly #turns = new Turns()
  readonly #requests: Requests
  #propagation: Propagation | undefined
  readonly #closers = new Set<Closer>()
  #closed: Promise<void> | undefined
  #draining = false
  #othersSend = false

  /** @internal Made by `connect`; the parameters may change in any version. */
  constructor(
    driver: Driver,
    events: BusEmitter,
    settings: {
      readonly clock: Clock
      readonly provision: ProvisionMode
      readonly format?: BodyFormat | undefined
      readonly propagation?: Propagation | undefined
      readonly replyTopic?: Topic | undefined
    },
  ) {
    this.#driver = driver
    this.#events = events
    this.#clock = settings.clock
    this.#provisioner = new Provisioner(driver, settings.provision)
    this.#publisher = new Publisher(driver, this.#provisioner, settings.clock)
    this.#propagation = settings.propagation
    const propagation = () => this.#propagation
    const replyMessages = new ReplyMessages(settings.replyTopic ?? usualReplyTopic())
    const replyProducer = lazily(() => new Producer(this.#replyHost()))
    this.#host = {
      driver,
      provisioner: this.#provisioner,
      clock: settings.clock,
      emit: events.emit,
      middleware: [],
      batchMiddleware: [],
      ensureOpen: () => this.#ensureOpen(),
      require: (feature, what) => requireFeature(driver, feature, what),
      forget: (consumer) => this.#consumers.delete(consumer),
      handledInVain: new HandledInVain(settings.clock),
      formats: new Formats(settings.format, [decompress]),
      get propagation() {
        return propagation()
      },
      replies: new ReplySender(replyMessages, settings.clock, replyProducer),
      memberships: new Memberships({ driver, clock: settings.clock, emit: events.emit }),
    }
    this.administration = new Administration(this.#host)
    this.#requests = new Requests({
      consumers: this.#observer({ ensureOpen: () => {}, forget: () => {} }),
      messages: replyMessages,
      producer: lazily(() => this.producer()),
    })
  }

  /**
   * The adapter's name, such as `kafka`.
   *
   * ```ts
   * if (bus.driver === 'kafka') console.log(bus.native('kafka'))
   * ```
   */
  get driver(): string {
    return this.#driver.name
  }

  /**
   * What the broker can do, and its limits: sizes in bytes, times in milliseconds.
   *
   * ```ts
   * const { ordered, maxMessageBytes } = bus.capabilities
   * ```
   */
  get capabilities(): Capabilities {
    return this.#driver.capabilities
  }

  /**
   * Adds a listener. Listeners run synchronously; an error that one throws becomes a process warning. To hear what happens
   * while connecting, use `connect({ on })`.
   *
   * ```ts
   * bus.on('deadLettered', ({ group, reason, message }) => log.warn(group, reason, message?.id))
   * ```
   *
   * @throws {ConfigurationError} when there is no such event, or the listener is not a function.
   */
  on<Name extends keyof BusEvents>(name: Name, listener: BusListener<Name>): this
  /**
   * The messages of a definition that are sent from now on, whoever handles them, for tests above all. It takes none away, as a
   * consumer with `broadcast` does, and subscribes at once: `ready` resolves when the next message sent will come. Leaving the
   * loop leaves nothing behind. Needs the feature `broadcast`.
   *
   * ```ts
   * await using placed = bus.on(OrderPlaced)
   * await placed.ready
   * await checkout(cart)
   * const { value } = await placed.next()
   * ```
   *
   * @throws {ConfigurationError} when it is no definition, or the options are wrong.
   * @throws {MessagingError} `unsupported`; in the loop, when the broker refuses or cannot be reached within 30 s.
   */
  on<Output, Type extends string>(
    definition: MessageDefinition<unknown, Output, string, Type>,
    options?: StreamOptions,
  ): MessageStream<Output, Type>
  on(first: unknown, second?: unknown): unknown {
    if (isDefinition(first)) return this.#stream(first, second)
    this.#events.listen(first, second)
    return this
  }

  /**
   * Tells `observer` of every event with its name, for logs and metrics; the result ends it. It takes nothing from the
   * listeners of `on`, and failures that have no listener are written to the console all the same, unless it `reports`.
   *
   * ```ts
   * const end = bus.observe(({ name, event }) => metrics.count(name, event))
   * ```
   *
   * @throws {ConfigurationError} when the observer is not a function.
   */
  observe(observer: (event: AnyBusEvent) => unknown, options?: ObserverOptions): () => void {
    return this.#events.observe(observer, options)
  }

  /**
   * Removes a listener that `on` or `connect({ on })` added.
   *
   * ```ts
   * bus.off('sent', countSends)
   * ```
   */
  off<Name extends keyof BusEvents>(name: Name, listener: BusListener<Name>): this {
    this.#events.off(name, listener)
    return this
  }

  /**
   * Wraps every send and every handler call of this bus, outside the middleware of single producers and consumers. A
   * consumer uses the middleware, and the propagation, that has been added by the time it starts.
   *
   * ```ts
   * bus.use({
   *   handle: async ({ message }, next) => {
   *     const startedAt = performance.now()
   *     await next()
   *     console.log(message.type, performance.now() - startedAt)
   *   },
   * })
   * ```
   *
   * @throws {ConfigurationError} when nothing is given, something else than a function, or a second propagation.
   */
  use(middleware: BusMiddleware): this {
    parseOptions(middlewareSchema(), middleware, 'middleware')
    const { send, handle, handleBatch, propagation } = middleware
    if (propagation !== undefined) this.#propagate(propagation)
    if (send !== undefined) this.#sendMiddleware.push(send)
    if (handle !== undefined) this.#host.middleware.push(handle)
    if (handleBatch !== undefined) this.#host.batchMiddleware.push(handleBatch)
    return this
  }

  /**
   * Makes a producer. It costs nothing: all producers share the connection. Defaults: `source` `waybill`, `timeout` 30 s,
   * `maxInFlightBytes` 16 MiB.
   *
   * ```ts
   * const producer = bus.producer({ source: 'checkout', timeout: '10s' })
   * await producer.send(OrderPlaced, { orderId: 'o-1', total: 42 })
   * ```
   *
   * @throws {ConfigurationError} listing every problem of the options.
   * @throws {MessagingError} `closed`
   */
  producer(options?: ProducerOptions): Producer {
    this.#ensureMaySend()
    return new Producer(this.#producerHost(), options)
  }

  /**
   * Makes a consumer of a group. Register handlers, then `start` it. Defaults: 10 handlers at once, 5 attempts with backoffs
   * from 1 s to 5 min; see `ConsumerOptions`.
   *
   * ```ts
   * const billing = bus
   *   .consumer('billing', { concurrency: 20, timeout: '30s', retry: { attempts: 3 } })
   *   .on(OrderPlaced, async ({ data }, { signal }) => charge(data, signal))
   * await billing.start()
   * ```
   *
   * @throws {ConfigurationError} listing every problem of the options.
   * @throws {MessagingError} `unsupported` when the broker lacks what they need; `closed`
   */
  consumer(group: string, options: ConsumerOptions & AnyGroup): Consumer
  consumer<const Name extends string>(group: Name, options?: ConsumerOptions): Consumer<Name>
  consumer(group: string, options?: ConsumerOptions): Consumer {
    this.#ensureOpen()
    return this.#consumer(this.#host, group, options)
  }

  /**
   * Pulls the messages of one type, to be settled by hand. At most `prefetch` (16) are unsettled at once. Leaving the loop
   * releases what is unsettled.
   *
   * ```ts
   * for await (const delivery of bus.receive(OrderPlaced, { group: 'shipping' })) {
   *   if (await ship(delivery.data)) await delivery.ack()
   *   else await delivery.retry({ delay: '10m' })
   * }
   * ```
   *
   * @throws {ConfigurationError} listing every problem of the options, or when the topic does not declare the group.
   * @throws {MessagingError} in the loop, when the broker refuses the subscription or cannot be reached within 30 s.
   */
  receive<Input, Output, Group extends string, Type extends string>(
    definition: MessageDefinition<Input, Output, Group, Type>,
    options: ReceiveOptions<NoInfer<Group>>,
  ): AsyncIterableIterator<ReceivedMessage<Output, Type>> {
    this.#ensureOpen()
    requireDefinition(definition, 'receive')
    parseOptions(receiveSchema(), options, 'receive options')
    if (options.allowUndeclaredGroup !== true) requireDeclared(definition.topic, options.group)
    requireWithinLimits(this.#driver, options, 'receive options')
    const most = this.#driver.capabilities.maxPrefetch
    const { group, prefetch = Math.min(usualPrefetch, most), signal, ...rest } = options
    const create = (onStopped: () => void) => {
      const forget = (consumer: Consumer) => {
        this.#host.forget(consumer)
        onStopped()
      }
      // Each message in hand is a handler that runs. What is no number of them is for the check of prefetch to say.
      const concurrency = Math.min(Math.max(prefetch, 1), maxConcurrency)
      return this.#consumer({ ...this.#host, forget, isPull: true }, group, {
        ...rest,
        prefetch,
        concurrency,
      })
    }
    return pull(create, definition, signal, (info) => this.#events.emit('received', info))
  }

  /**
   * Sends a request, and resolves with its reply: what the handler of the definition returned, by its `reply` schema. The
   * first reply counts. Needs the feature `broadcast`.
   *
   * ```ts
   * const { price } = await bus.request(QuoteAsked, { sku: 's-1' }, { timeout: '5s' })
   * ```
   *
   * @throws {RequestError} when it was given up: its handler has no attempts left, it expired, was skipped, …
   * @throws {InvalidMessageError} listing every problem of data and options; nothing was sent.
   * @throws {MessagingError} `timeout` (30 s) or `aborted`, with the `fate` of the request: `unknown` when it was sent;
   * `closed`; `unsupported`; and what `send` throws.
   */
  async request<Input, ReplyOutput>(
    definition: RequestDefinition<Input, unknown, string, string, unknown, ReplyOutput>,
    data: NoInfer<Input>,
    options?: RequestOptions,
  ): Promise<ReplyOutput>
  async request(definition: RequestDefinition, data: unknown, options?: RequestOptions): Promise<unknown> {
    this.#ensureMaySend()
    requireRequest(definition)
    const instead = 'send a message, and have the answer sent to a topic and group of your own'
    requireFeature(this.#driver, 'broadcast', `request ${definition.type}`, instead)
    return this.#requests.request(definition, data, options)
  }

  /**
   * One group of a topic: its dead letters, its figures, its position. Makes nothing at the broker.
   *
   * ```ts
   * const { waiting, dead } = await bus.group(orders, 'billing').stats()
   * await bus.group(orders, 'billing').deadLetters.replayAll()
   * ```
   *
   * @throws {ConfigurationError} when the topic declares other groups and not this one, unless `allowUndeclaredGroup` is set.
   */
  group(topic: Topic, group: string, options: GroupOptions & { readonly allowUndeclaredGroup: true }): Group
  group<Name extends string>(topic: Topic<Name>, group: NoInfer<Name>, options?: GroupOptions): Group
  group(topic: Topic, group: string, options: GroupOptions = {}): Group {
    this.#ensureOpen()
    const { allowUndeclaredGroup } = parseOptions(
      groupSchema(),
      options,
      `options of group ${describe(group)}`,
    )
    parseOptions(groupArgumentsSchema(), { topic, group }, 'group')
    if (!allowUndeclaredGroup) requireDeclared(topic, group)
    return new Group(this.#host, topic, group)
  }

  /**
   * Creates or verifies topics and their declared groups now, according to the `provision` mode of the bus. In `verify` mode
   * missing ones are an error; in `none` mode nothing happens. With `dryRun` it only reports what is missing.
   *
   * ```ts
   * const { created } = await bus.provision([orders, payments])
   * console.log(created) // ['exchange orders', 'queue orders:billing', …], in the broker's terms
   * ```
   *
   * @throws {MessagingError} `topology-missing`, `topology-mismatch`, `access-denied`, `unsupported`, `aborted`
   */
  async provision(topics: readonly Topic[], options: ProvisionOptions = {}): Promise<TopologyReport> {
    this.#ensureOpen()
    const { dryRun, signal } = parseOptions(provisionSchema(), options, 'provision options')
    parseOptions(topicsSchema(), topics, 'topics to provision')
    for (const topic of topics)
      if (topic.ordered) this.#host.require('ordered', `ordered topic "${topic.name}"`)
    return dryRun ? this.#provisioner.missing(topics, signal) : this.#provisioner.topics(topics, signal)
  }

  /**
   * Asks the broker and each consumer how they are. A driver that has not answered within `timeout` (10 s) is `down`.
   * Rejects for wrong options only.
   *
   * ```ts
   * const { status, consumers } = await bus.health()
   * for (const { group, state, error } of consumers) if (error) console.log(group, state, error.message)
   * ```
   */
  async health(options: HealthOptions = {}): Promise<Health> {
    const host = { ...this.#host, consumerHealth: () => this.consumerHealth() }
    return healthOf(host, this.#closed !== undefined, options)
  }

  /**
   * The consumers' part of `health()`, without asking the broker: what is known in this process, at once.
   *
   * ```ts
   * const mustRestart = bus.consumerHealth().some(({ stalled }) => stalled !== undefined)
   * ```
   */
  consumerHealth(): readonly WorkerHealth[] {
    return [...this.#consumers, this.#requests].flatMap((each) => each.health())
  }

  /**
   * The broker's client, for what Waybill does not offer; see the adapter's README. Its type comes with the adapter's
   * package: import that, if only as `import type {} from '@waybill/adapter-kafka'`.
   *
   * ```ts
   * const { admin } = bus.native('kafka')
   * ```
   *
   * @throws {MessagingError} `unsupported` when the bus runs on another driver.
   */
  native<Name extends keyof NativeClients & string>(name: Name): NativeClients[Name]
  native(name: string): unknown {
    this.#ensureOpen()
    if (name === this.#driver.name) return this.#driver.native()
    const what = `The native client of ${describe(name)} was asked for, but this bus runs on the ${this.#driver.name} driver`
    const next = `Call native('${this.#driver.name}'), or check bus.driver first`
    throw new MessagingError('unsupported', `${what}. ${next}`)
  }

  /**
   * Stops all consumers, waits for pending sends and closes the connections. Takes `timeout` (10 s) and a few seconds more
   * at most, even if handlers or the broker hang. Idempotent. Later calls fail with `closed`.
   *
   * ```ts
   * process.once('SIGTERM', () => bus.close({ timeout: '20s' }))
   * ```
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { timeout } = parseOptions(closeSchema(), options, 'close options')
    this.#closed ??= this.#close(toMilliseconds(timeout))
    await this.#closed
  }

  /**
   * Calls `end` when the bus closes, after its consumers have stopped. For what sends through the bus on its own, such as the
   * relay of an outbox: the bus takes sends until every such `end` is done. `end` gets what is left of the time, in
   * milliseconds; the result takes it back.
   *
   * ```ts
   * const forget = bus.beforeClose(({ timeout }) => importer.stop({ timeout }))
   * ```
   *
   * @throws {ConfigurationError} when `end` is not a function.
   */
  beforeClose(end: (options: { readonly timeout: number }) => unknown): () => void {
    parseOptions(closerSchema(), { end }, 'beforeClose')
    const closer: Closer = { end }
    this.#closers.add(closer)
    return () => this.#closers.delete(closer)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const until = this.#clock.monotonic() + timeoutMs
    this.#draining = true
    this.#othersSend = this.#closers.size > 0
    // What a stream has no room for is a handler that waits for its loop.
    for (const stream of this.#streams) void stream.return()
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop({ timeout: timeoutMs })))
    await this.#endSenders(until)
    await this.#requests.close()
    this.#draining = false
    await this.#publisher.close(Math.max(0, until - this.#clock.monotonic()))
    await within(this.#clock, graceMs, this.#closeDriver())
  }

  async #endSenders(until: number): Promise<void> {
    const timeout = Math.max(0, until - this.#clock.monotonic())
    const ending = [...this.#closers].map(async ({ end }) => {
      try {
        await end({ timeout })
      } catch (thrown) {
        const error = toMessagingError(thrown, 'Ending what sends through the bus failed')
        this.#events.emit('failure', { what: 'closing the bus', error })
      }
    })
    // It has been told how long it has; a little more lets it say so.
    await within(this.#clock, timeout + graceMs, Promise.all(ending))
    this.#othersSend = false
  }

  async #closeDriver(): Promise<void> {
    try {
      await this.#driver.close()
    } catch (thrown) {
      const error = toMessagingError(thrown, `Closing the ${this.#driver.name} driver failed`)
      this.#events.emit('failure', { what: 'closing the driver', error })
    }
  }

  #stream(definition: MessageDefinition, options: unknown): MessageStream {
    this.#ensureOpen()
    requireFeature(this.#driver, 'broadcast', `on(${definition.type})`, 'consume it with a group of your own')
    const forget = (consumer: Consumer) => {
      this.#host.forget(consumer)
      this.#streams.delete(stream)
    }
    const adopt = (consumer: Consumer) => this.#consumers.add(consumer)
    const stream = new MessageStream(this.#observer({ forget }), adopt, definition, options)
    this.#streams.add(stream)
    return stream
  }

  #producerHost(): ProducerHost {
    const { clock, emit, formats } = this.#host
    const propagation = () => this.#propagation
    return {
      formats,
      get propagation() {
        return propagation()
      },
      turns: this.#turns,
      driver: this.#driver,
      clock,
      emit,
      ensureOpen: () => this.#ensureMaySend(),
      publisher: this.#publisher,
      middleware: this.#sendMiddleware,
    }
  }

  #propagate(propagation: Propagation): void {
    if (this.#propagation !== undefined) {
      const message = 'the bus has one already, from connect() or an earlier use()'
      throw new ConfigurationError('middleware', [{ path: 'propagation', message }])
    }
    this.#propagation = propagation
  }

  /** Replies are part of handling a request: no sends of the application's, and sent until its handlers are done. */
  #replyHost(): ProducerHost {
    return { ...this.#producerHost(), middleware: [], emit: quiet(this.#events.emit), ensureOpen: () => {} }
  }

  /** For consumers that only look at messages: outside of the middleware of handlers, and without their events. */
  #observer(changed: Partial<ConsumerHost>): ConsumerHost {
    return {
      ...this.#host,
      middleware: [],
      propagation: undefined,
      emit: quiet(this.#events.emit),
      isPull: true,
      ...changed,
    }
  }

  #consumer(host: ConsumerHost, group: string, options: ConsumerOptions | undefined): Consumer {
    const consumer = new Consumer(host, group, options)
    this.#consumers.add(consumer)
    return consumer
  }

  /** Handlers that are being drained may still send, and so may what ends before the bus does. */
  #ensureMaySend(): void {
    if (this.#othersSend) return
    if (!this.#draining || !isHandling()) this.#ensureOpen()
  }

  #ensureOpen(): void {
    if (this.#closed !== undefined) throw new MessagingError('closed', 'The bus is closed; connect again')
  }
}

/** Events of single messages that nobody of the application's handles or sends. */
const unheard: ReadonlySet<keyof BusEvents> = new Set(['sent', 'handled', 'unhandled'])

function quiet(emit: Emit): Emit {
  return (name, event) => {
    if (!unheard.has(name)) emit(name, event)
  }
}
