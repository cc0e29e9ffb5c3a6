import type { z } from 'zod'
import type { HandledInVain } from '../deliveries/handled-in-vain.ts'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import type { Driver, Feature, GroupSpec } from '../driver.ts'
import { BodyReader } from '../encoding/body-reader.ts'
import type { Formats } from '../encoding/formats.ts'
import type { Emit } from '../events/events.ts'
import { Answers, type Replies } from '../handling/answers.ts'
import type { BatchContext, BatchHandler, BatchMiddleware } from '../handling/batch-collector.ts'
import { type HandlerOptions, handlerSchema } from '../handling/handler-policies.ts'
import { type Handler, Handlers } from '../handling/handlers.ts'
import { Slots } from '../handling/lanes.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import { Processing } from '../handling/processing.ts'
import type { Propagation } from '../handling/propagation.ts'
import { Unhandled, whereUnhandledWait } from '../handling/unhandled.ts'
import type { Clock } from '../lib/clock.ts'
import { ConfigurationError, describe, type Issue, MessagingError } from '../lib/errors.ts'
import { functionSchema, parseOptions, withFields } from '../lib/validation.ts'
import {
  type MessageDefinition,
  type MessageOf,
  type ReplyOf,
  requireDefinition,
} from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { requireDeclared, type Topic, typeSchema } from '../messages/topic.ts'
import type { Provisioner } from '../topology/provisioner.ts'
import type { Attempts } from './attempts.ts'
import { requireRoomForBatch, requireWithinLimits } from './broker-limits.ts'
import {
  type BatchOptions,
  batchSchema,
  type ConsumerOptions,
  consumerSchema,
  defaultConcurrency,
  type StartOptions,
  type StopOptions,
  startSchema,
  stopSchema,
} from './consumer-options.ts'
import type { StopReport } from './drain.ts'
import { effectivePolicies } from './effective-policies.ts'
import { gateRooms } from './gate-rooms.ts'
import type { Memberships } from './memberships.ts'
import { type Bound, Registrations } from './registrations.ts'
import { Worker, type WorkerHealth } from './worker.ts'

/** Holding more hardly makes a broker deliver faster. */
const mostPrefetched = 1000

/** What a consumer needs of its bus. */
export interface ConsumerHost {
  readonly driver: Driver
  readonly provisioner: Provisioner
  readonly clock: Clock
  readonly emit: Emit
  /** The bus's, outside of the consumer's own. */
  readonly middleware: HandlerMiddleware[]
  readonly batchMiddleware: BatchMiddleware[]
  /** It serves a pull loop. */
  readonly isPull?: boolean
  ensureOpen(): void
  /** Which consumers of the bus share deliveries. */
  readonly memberships: Memberships<Attempts>
  readonly handledInVain: HandledInVain
  readonly formats: Formats
  readonly propagation: Propagation | undefined
  readonly replies: Replies
  require(feature: Feature, what: string): void
  /** Called when the consumer has stopped. */
  forget(consumer: Consumer): void
}

/** One topic of a consumer. */
interface Working {
  readonly worker: Worker
  readonly processing: Processing
  readonly unhandled: Unhandled
}

/**
 * Handles a group's messages. Made by `bus.consumer()`. Register handlers, then `start`.
 *
 * ```ts
 * const consumer = bus.consumer('billing').on(OrderPlaced, ({ data }) => charge(data))
 * await consumer.start()
 * await consumer.stop({ timeout: '20s' })
 * ```
 */
export class Consumer<Name extends string = string> {
  readonly group: string
  readonly #host: ConsumerHost
  readonly #options: z.output<ReturnType<typeof consumerSchema>>
  readonly #registrations: Registrations
  readonly #middleware: HandlerMiddleware[] = []
  #workers: readonly Working[] = []
  #state: 'new' | 'started' | 'stopped' = 'new'
  #paused = false
  #stopped: Promise<StopReport> | undefined
  /** Fires when running handlers get no more time. */
  readonly #handlersOver = new AbortController()

  /** @internal Made by `bus.consumer()`; the parameters may change in any version. */
  constructor(host: ConsumerHost, group: string, options: ConsumerOptions = {}) {
    this.#host = host
    this.#options = parseOptions(
      consumerSchema(),
      withFields(options, { group }),
      `options of consumer ${describe(group)}`,
    )
    this.group = group
    this.#registrations = new Registrations(group)
    requireWithinLimits(host.driver, options, `options of consumer ${describe(group)}`)
    if (this.#options.broadcast) host.require('broadcast', `consumer "${group}" with broadcast`)
    else host.require('deadLetters', `consumer "${group}"`)
    if (this.#options.from === 'earliest') host.require('replay', `consumer "${group}" from 'earliest'`)
  }

  /**
   * Handles one message type. Its data is upcast and validated first. Resolving acks the message; throwing fails the attempt.
   * The handler of a definition with a `reply` returns the reply.
   *
   * ```ts
   * consumer.on(OrderPlaced, async ({ data }, { signal, attempt }) => charge(data, signal), { timeout: '30s' })
   * ```
   *
   * @throws {ConfigurationError} when the type already has a handler, or the topic does not declare the group.
   */
  on<Input, Output, Type extends string, Reply>(
    definition: MessageDefinition<Input, Output, Name, Type, Reply>,
    handler: Handler<Output, Type, NoInfer<Reply>>,
    options?: HandlerOptions<Message<Output, Type>>,
  ): this
  /**
   * Handles several message types, of one topic or several, with one handler. Its message is a union, told apart by `type`. The
   * options apply to each type by itself.
   *
   * ```ts
   * consumer.on([OrderPlaced, OrderPaid], (message) => {
   *   if (message.type === 'order.placed') console.log(message.data.total)
   * })
   * ```
   *
   * @throws {ConfigurationError} as for a single one, or when there is none.
   */
  on<const Definitions extends readonly MessageDefinition<unknown, unknown, Name>[]>(
    definitions: Definitions,
    handler: (
      message: MessageOf<Definitions[number]>,
      context: HandlerContext,
    ) => ReplyOf<Definitions[number]> | PromiseLike<ReplyOf<Definitions[number]>>,
    options?: HandlerOptions<MessageOf<Definitions[number]>>,
  ): this
  /**
   * Handles every type that matches, on each topic that this consumer's other handlers name. `*` stands for one segment, `#`
   * for any number. Data is as it travelled: neither upcast nor validated.
   *
   * ```ts
   * consumer.on('order.#', ({ type, data }) => console.log(type, data))
   * ```
   */
  on(pattern: string, handler: Handler, options?: HandlerOptions): this
  /**
   * Handles every type of the topic that matches. Data is as it travelled.
   *
   * ```ts
   * consumer.on(orders, 'order.*', ({ type, data }) => audit(type, data))
   * ```
   */
  on(topic: Topic<Name>, pattern: string, handler: Handler, options?: HandlerOptions): this
  on(
    first: MessageDefinition | readonly MessageDefinition[] | Topic | string,
    second: Handler | string,
    third?: Handler | HandlerOptions,
    fourth?: HandlerOptions,
  ): this {
    if (typeof first === 'string') return this.#onPattern(undefined, first, second, third)
    if (isList(first)) return this.#onEach(first, second, third)
    if (typeof first !== 'object' || first === null) {
      const hint = first === undefined ? '; a circle of imports leaves undefined' : ''
      const message = `expected a message definition, a topic or a pattern, not ${describe(first)}${hint}`
      throw new ConfigurationError('handler', [{ path: 'definition', message }])
    }
    if (typeof second === 'string')
      return this.#onPattern('topic' in first ? first.topic : first, second, third, fourth)
    if (!('topic' in first)) {
      throw new ConfigurationError('handler', [
        { path: 'pattern', message: 'expected on(topic, pattern, handler)' },
      ])
    }
    return this.#onDefinition(first, second, third)
  }

  /**
   * Handles one message type in batches of up to `size` (100), called at the latest `wait` (1 s) after the first message.
   * `context.fail(message, error)` fails single messages; a throw fails them all. On an ordered topic a batch holds at most
   * one message per key, so that order survives a partial failure.
   *
   * ```ts
   * consumer.onBatch(OrderPlaced, { size: 500, wait: '2s' }, async (messages, context) => {
   *   for (const message of await insertAll(messages)) context.fail(message, new Error('not stored'))
   * })
   * ```
   *
   * @throws {ConfigurationError} when the type already has a handler, or the options are wrong.
   */
  onBatch<Input, Output, Type extends string>(
    definition: MessageDefinition<Input, Output, Name, Type>,
    options: BatchOptions<Message<Output, Type>>,
    handler: (messages: readonly Message<Output, Type>[], context: BatchContext) => unknown,
  ): this {
    requireDefinition(definition, 'batch handler')
    const what = `batch options of ${definition.type}`
    const { size, wait, ...own } = parseOptions(batchSchema(), options, what)
    requireRoomForBatch(this.#host.driver, this.#options.prefetch, size, what)
    const settings = { size, waitMs: wait, clock: this.#host.clock }
    return this.#register({
      topic: definition.topic,
      // One call for many messages has no reply for each.
      definition: { ...definition, reply: undefined },
      types: definition.type,
      handle: undefined,
      batch: { handle: handler as BatchHandler, settings },
      ...effectivePolicies(this.#options, own, definition, true, what),
    })
  }

  /**
   * Wraps every handler call of this consumer; the first middleware added is the outermost. Call it before `start`.
   *
   * ```ts
   * consumer.use(async ({ message }, next) => tracer.run(message.metadata.traceparent, next))
   * ```
   *
   * @throws {MessagingError} `closed` after `start`.
   */
  use(middleware: HandlerMiddleware): this {
    this.#ensureNew('use')
    parseOptions(functionSchema(), middleware, `middleware of consumer "${this.group}"`)
    this.#middleware.push(middleware)
    return this
  }

  /**
   * Subscribes. Once it resolves, the next message sent will arrive.
   *
   * ```ts
   * await consumer.start({ timeout: '1m' })
   * ```
   *
   * @throws {ConfigurationError} when there is no handler, or none names a topic.
   * @throws {MessagingError} when the broker refuses; `timeout` when it cannot be reached within the timeout (30 s);
   * `aborted`; `closed` when it was started before.
   */
  async start(options: StartOptions = {}): Promise<void> {
    this.#host.ensureOpen()
    const { timeout, signal } = parseOptions(startSchema(), options, 'start options')
    this.#ensureNew('start')
    const topics = this.#registrations.topics()
    for (const { name, ordered } of topics) {
      if (ordered) this.#host.require('ordered', `ordered topic "${name}"`)
    }
    this.#workers = topics.map((topic) => this.#createWorker(topic))
    this.#state = 'started'
    if (this.#paused) this.pause()
    const limit = new AbortController()
    const cancel = this.#host.clock.after(timeout, () => limit.abort(), { background: true })
    const signals = AbortSignal.any(signal === undefined ? [limit.signal] : [limit.signal, signal])
    try {
      await Promise.all(this.#workers.map(({ worker }) => worker.start(signals)))
    } catch (error) {
      const stopped = this.stop({ timeout: 0 })
      // A caller who has waited long enough does not wait for a broker that hangs, too.
      if (!signals.aborted) await stopped
      if (limit.signal.aborted && MessagingError.is(error) && error.code === 'aborted') {
        throw new MessagingError('timeout', error.message, { retryable: true, cause: error.cause })
      }
      throw error
    } finally {
      cancel()
    }
  }

  /**
   * Takes no more messages until `resume`. Running handlers finish; what no handler has seen goes back to the group. If called
   * before `start`, the consumer starts paused.
   *
   * ```ts
   * consumer.pause() // while the database is being upgraded
   * ```
   */
  pause(): void {
    this.#paused = true
    for (const { worker } of this.#workers) worker.pause()
  }

  /**
   * Takes messages again after `pause`.
   *
   * ```ts
   * consumer.resume()
   * ```
   */
  resume(): void {
    this.#paused = false
    for (const { worker } of this.#workers) worker.resume()
  }

  /**
   * Takes no new messages, lets running handlers finish within the timeout (30 s), and gives the rest back to the group.
   * Idempotent: of several calls the shortest timeout counts. A stopped consumer cannot be started again.
   *
   * ```ts
   * const { abandoned, released } = await consumer.stop({ timeout: '20s' })
   * ```
   */
  async stop(options: StopOptions = {}): Promise<StopReport> {
    const { timeout } = parseOptions(stopSchema(), options, 'stop options')
    this.#state = 'stopped'
    if (timeout === 0) this.#handlersOver.abort()
    this.#stopped ??= this.#stop()
    const cancel = this.#host.clock.after(timeout, () => this.#handlersOver.abort())
    try {
      return await this.#stopped
    } finally {
      cancel()
    }
  }

  /**
   * The state of this consumer on each of its topics; `bus.health()` includes it.
   *
   * ```ts
   * for (const { topic, running, oldestRunningMs } of consumer.health()) console.log(topic, running, oldestRunningMs)
   * ```
   */
  health(): readonly WorkerHealth[] {
    return this.#workers.map(({ worker, processing, unhandled: { skipped, deferred } }) => ({
      ...(processing.error !== undefined && { error: processing.error }),
      ...worker.health(),
      ...(this.#host.isPull === true && { isPull: true }),
      ...(processing.breakers.length > 0 && { breakers: processing.breakers }),
      ...(skipped > 0 && { skipped }),
      ...(deferred > 0 && { deferred }),
    }))
  }

  async #stop(): Promise<StopReport> {
    const { signal } = this.#handlersOver
    const reports = await Promise.all(this.#workers.map(({ worker }) => worker.stop(signal)))
    for (const { processing } of this.#workers) processing.close()
    this.#host.forget(this)
    return {
      abandoned: reports.flatMap(({ abandoned }) => abandoned),
      released: reports.reduce((sum, { released }) => sum + released, 0),
    }
  }

  #onDefinition(definition: MessageDefinition, handle: Handler, options: unknown): this {
    requireDefinition(definition, 'handler')
    return this.#register({
      topic: definition.topic,
      definition,
      types: definition.type,
      handle,
      batch: undefined,
      ...this.#policiesOf(options, definition),
    })
  }

  #onEach(definitions: readonly MessageDefinition[], handler: Handler | string, options: unknown): this {
    const what = 'handler of several types'
    if (typeof handler === 'string' || definitions.length === 0) {
      const message =
        definitions.length === 0
          ? 'expected at least one message made by defineMessage()'
          : 'a pattern belongs to a topic: expected on(definitions, handler)'
      throw new ConfigurationError(what, [{ path: 'definitions', message }])
    }
    for (const definition of definitions) requireDefinition(definition, what)
    for (const definition of definitions) this.#onDefinition(definition, handler, options)
    return this
  }

  #onPattern(topic: Topic | undefined, pattern: string, handle: unknown, options: unknown): this {
    const issues: Issue[] = []
    const parsed = typeSchema().safeParse(pattern)
    const isHandler = (value: unknown): value is Handler => typeof value === 'function'
    if (!parsed.success)
      issues.push(...parsed.error.issues.map(({ message }) => ({ path: 'pattern', message })))
    if (!isHandler(handle)) issues.push({ path: 'handler', message: 'expected a function' })
    if (issues.length > 0 || !isHandler(handle))
      throw new ConfigurationError(`handler of "${pattern}"`, issues)
    return this.#register({
      topic,
      definition: undefined,
      types: pattern,
      handle,
      batch: undefined,
      ...this.#policiesOf(options, undefined, pattern),
    })
  }

  #policiesOf(options: unknown, definition: MessageDefinition | undefined, types = definition?.type) {
    const what = `options of handler of "${types}"`
    const own = parseOptions(handlerSchema(), options ?? {}, what)
    return effectivePolicies(this.#options, own, definition, false, what)
  }

  #register(registration: Bound): this {
    this.#ensureNew('on')
    const { topic } = registration
    const { broadcast, allowUndeclaredGroup } = this.#options
    if (topic !== undefined && !broadcast && !allowUndeclaredGroup) requireDeclared(topic, this.group)
    this.#registrations.add(registration)
    return this
  }

  #createWorker(topic: Topic): Working {
    const { lease, maxLease, stuckAfter, maxDeliveries, idempotency, from, broadcast } = this.#options
    const concurrency = this.#options.concurrency.total ?? defaultConcurrency
    const { driver, provisioner, clock, emit, memberships, handledInVain, formats } = this.#host
    for (const { definition } of this.#registrations.all)
      if (definition !== undefined) formats.learn(definition)
    formats.learn(topic)
    const registrations = this.#registrations.of(topic)
    const { durableRetry, changesFilters, maxDelayMs, ...most } = driver.capabilities
    const slots = new Slots(concurrency)
    const batchSize = Math.max(1, ...registrations.map(({ batch }) => batch?.settings.size ?? 1))
    const wished =
      this.#options.prefetch ?? 2 * concurrency * batchSize + (topic.ordered || !durableRetry ? 256 : 0)
    const prefetch = Math.min(wished, most.maxPrefetch)
    const canPostpone = durableRetry && !topic.ordered && !broadcast
    const rooms = gateRooms({ registrations, canPostpone, prefetch, maxLeaseMs: maxLease })
    const processing = new Processing(
      {
        topic: topic.name,
        group: this.group,
        clock,
        emit,
        maxDeliveries,
        idempotency: idempotency && {
          store: idempotency.store,
          windowMs: idempotency.window,
          leaseMs: idempotency.lease,
        },
        middleware: [...this.#host.middleware, ...this.#middleware],
        isPull: this.#host.isPull === true,
        handledInVain,
        propagation: this.#host.propagation,
        replies: this.#host.replies,
        reader: new BodyReader(formats, topic.name, this.group),
        ordered: topic.ordered,
        maxRetryMs: durableRetry ? maxDelayMs : 0,
        broadcast,
      },
      new Handlers(registrations, slots, {
        clock,
        emit,
        topic: topic.name,
        group: this.group,
        batchMiddleware: this.#host.batchMiddleware,
        ...rooms,
      }),
    )
    const isFixed = this.#options.prefetch !== undefined || topic.ordered
    const grown = isFixed ? prefetch : Math.max(prefetch, Math.min(10 * prefetch, mostPrefetched))
    const maxPrefetch = Math.min(grown, most.maxPrefetch)
    const answers = new Answers({ replies: this.#host.replies, emit, broadcast })
    const unhandled = new Unhandled({
      clock,
      emit,
      gaveUp: (delivery, reason, error) => answers.gaveUp(delivery, undefined, reason, error),
      policy: this.#options.unhandled,
      afterMs: this.#options.unhandledAfter,
      waits: whereUnhandledWait(driver.capabilities, topic.ordered),
    })
    const types = [...new Set(registrations.map((each) => each.types))]
    // A group's filter that cannot be added to takes everything; what nobody wants is sorted out here.
    const kept = changesFilters || broadcast ? types : ['#']
    const group: GroupSpec = { name: this.group, types: kept, wishes: types, from }
    const settings = {
      driver,
      provisioner,
      clock,
      emit,
      topic,
      group,
      prefetch,
      maxPrefetch,
      broadcast,
      handledInVain,
    }
    return {
      worker: new Worker(
        {
          ...settings,
          leaseMs: Math.min(lease, most.maxLeaseMs),
          maxLeaseMs: maxLease,
          stuckAfterMs: stuckAfter,
        },
        processing,
        slots,
        unhandled,
        memberships,
      ),
      processing,
      unhandled,
    }
  }

  #ensureNew(call: string): void {
    if (this.#state === 'new') return
    const why =
      this.#state === 'started' ? 'is already started' : 'is stopped; make a new one with bus.consumer()'
    throw new MessagingError('closed', `${call}: consumer "${this.group}" ${why}`)
  }
}

// Narrows to the array of the parameter's union, which `Array.isArray` does not when it is readonly.
function isList<Item>(value: Item | readonly Item[]): value is readonly Item[] {
  return Array.isArray(value)
}
