import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { HandledInVain } from '../deliveries/handled-in-vain.ts'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import { attemptsAskedFor, headerNames } from '../driver/transport-headers.ts'
import type { Verdict } from '../driver.ts'
import type { BodyReader } from '../encoding/body-reader.ts'
import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError, toError, toMessagingError } from '../lib/errors.ts'
import { decideRetry, defaultRetry, type RetryDecision } from '../lib/retry.ts'
import { RetryAfter } from '../lib/retry-after.ts'
import { SkipDuplicate } from '../lib/skip-duplicate.ts'
import { type MessageDefinition, upcastData, type Validated, validateData } from '../messages/definition.ts'
import { Answers, type Replies } from './answers.ts'
import { AskedVerdict, type Wish } from './asked-verdict.ts'
import type { BreakerState } from './circuit-breaker.ts'
import { EffectGuard, type IdempotencySettings } from './effect-guard.ts'
import { deadLetterHeaders, lastingHeaders, retryHeaders } from './failure-record.ts'
import type { Passage } from './gate.ts'
import type { ActiveHandler, Handlers } from './handlers.ts'
import { whileHandling } from './handling.ts'
import { MessageReading, type ReadingResult } from './message-reading.ts'
import { compose } from './middleware.ts'
import { type Propagation, withinContext } from './propagation.ts'
import { withTimeLimit } from './time-limit.ts'

export type HandlerMiddleware = (context: HandlerContext, next: () => Promise<void>) => Promise<void>

/** The result of an attempt. */
export type Disposition =
  /** `settled` is called once the verdict is durable. */
  | {
      readonly kind: 'settle'
      readonly verdict: Verdict
      readonly settled?: () => void
      /** Its handler has had its effect: if the verdict is lost, it need not run again. */
      readonly isHandled?: boolean
    }
  /** To be tried again by this member; its key waits until then. `isUsed`: a handler has had its message, and may have changed it. */
  | {
      readonly kind: 'back-off'
      readonly delayMs: number
      readonly attempt: number
      readonly isUsed?: boolean
    }

export interface ProcessingSettings {
  readonly topic: string
  readonly group: string
  readonly clock: Clock
  readonly emit: Emit
  readonly maxDeliveries: number
  readonly idempotency: IdempotencySettings | undefined
  readonly middleware: readonly HandlerMiddleware[]
  readonly handledInVain: HandledInVain
  readonly reader: BodyReader
  readonly propagation: Propagation | undefined
  readonly replies: Replies
  /** Deliveries of one key are sequential, so retries wait in this process while they hold their key. */
  readonly ordered: boolean
  /** The longest retry the driver carries out; a longer one waits in this process. 0 when it carries out none. */
  readonly maxRetryMs: number
  /** There is no queue of the group's own to come back from: retries wait in this process, and there are no dead letters. */
  readonly broadcast: boolean
}

const release: Disposition = { kind: 'settle', verdict: { kind: 'release' } }

/** How many consumers died with it in hand. Releases, pauses and drains are not among them. */
function crashesOf({ delivery: { crashes, deliveries, attempt } }: DeliveryInHand): number {
  return crashes ?? deliveries - attempt
}

// How soon a message comes back that cannot be read because a store or a registry is away.
const unreadableDelayMs = 30_000

// How soon a duplicate of a message that is being handled looks again.
const duplicateDelayMs = 5000

/** Decides how each delivery ends: at-least-once, retries, dead letters and idempotency in one place. */
export class Processing {
  readonly #settings: ProcessingSettings
  readonly #handlers: Handlers
  readonly #guard: EffectGuard | undefined
  readonly #reading: MessageReading
  readonly #answers: Answers
  /**
   * A crash counts against everything that a consumer had in hand, not only the message that killed it. So each consumer
   * gives up only one message for crashes; those that have seen fewer crashes than that one may have been its neighbours.
   */
  #excused = 0

  constructor(settings: ProcessingSettings, handlers: Handlers) {
    this.#settings = settings
    this.#handlers = handlers
    const { idempotency, clock, emit, topic, group, reader, ordered } = settings
    this.#answers = new Answers(settings)
    this.#reading = new MessageReading({ clock, emit, reader, ordered })
    this.#guard = idempotency && new EffectGuard({ ...idempotency, clock, emit, topic, group })
  }

  handles(type: string): boolean {
    return this.#handlers.find(type) !== undefined
  }

  /** The handler of a delivery that has been inspected. */
  handlerOf({ message }: DeliveryInHand): ActiveHandler | undefined {
    return this.#handlers.find(message.type)
  }

  /** Looks at a delivery before it queues up: what becomes of it, if it needs no handler. */
  triage(delivery: DeliveryInHand): Disposition | undefined | Promise<Disposition | undefined> {
    const result = this.#read(delivery)
    if (result === undefined) return this.#checkCrashes(delivery)
    return result instanceof Promise ? this.#whenRead(delivery, result, true) : result
  }

  /** Takes the message as it was sent, after a handler had it: as if a copy of it had come back. */
  reread(delivery: DeliveryInHand): Disposition | undefined | Promise<Disposition | undefined> {
    const result = this.#read(delivery)
    return result instanceof Promise ? this.#whenRead(delivery, result, false) : result
  }

  /** Undefined when it is read; a disposition when it cannot be. */
  #read(delivery: DeliveryInHand): Disposition | undefined | Promise<ReadingResult> {
    try {
      const result = this.#reading.read(delivery)
      return result === 'read' ? undefined : result
    } catch (error) {
      return this.#giveUp(delivery, 'undecodable', toError(error))
    }
  }

  async #whenRead(
    delivery: DeliveryInHand,
    reading: Promise<ReadingResult>,
    isNew: boolean,
  ): Promise<Disposition | undefined> {
    try {
      const result = await reading
      if (result === 'ended') return release
      if (result === 'later') return this.#again(delivery, unreadableDelayMs, delivery.attempt, () => {})
      return isNew ? this.#checkCrashes(delivery) : undefined
    } catch (error) {
      return this.#giveUp(delivery, 'undecodable', toError(error))
    }
  }

  #checkCrashes(delivery: DeliveryInHand): Disposition | undefined {
    const { maxDeliveries } = this.#settings
    const crashes = crashesOf(delivery)
    if (crashes >= Math.max(maxDeliveries, this.#excused)) {
      this.#excused = crashes + 1
      const why = `${crashes} consumers died with it in hand`
      return this.#giveUp(delivery, 'crash-loop', new MessagingError('failed', why))
    }
    return undefined
  }

  /** Why no handler starts at the moment. */
  get error(): MessagingError | undefined {
    return this.#guard?.error ?? this.#reading.error ?? this.#gateError()
  }

  get breakers(): readonly { readonly types: string; readonly state: BreakerState }[] {
    return this.#handlers.gates.flatMap(({ types, gate: { breaker } }) =>
      breaker === undefined ? [] : [{ types, state: breaker.state }],
    )
  }

  #gateError(): MessagingError | undefined {
    for (const { types, gate } of this.#handlers.gates) {
      if (gate.error !== undefined) return gate.error
      const state = gate.breaker?.state ?? 'closed'
      if (state !== 'closed')
        return new MessagingError('failed', `The circuit breaker of ${types} is ${state}`)
    }
    return undefined
  }

  /** What becomes of a delivery that did not pass its handler's gate. */
  turnedAway(
    delivery: DeliveryInHand,
    handler: ActiveHandler,
    passage: Extract<Passage, { kind: 'postponed' | 'failed' }>,
  ): Disposition {
    if (passage.kind === 'failed') return this.#failed(delivery, handler, passage.error)
    return this.#postponed(delivery, passage.delayMs, false)
  }

  /** To come again as the attempt it is. */
  #postponed(delivery: DeliveryInHand, delayMs: number, isUsed: boolean): Disposition {
    const { attempt } = delivery
    if (this.#waitsHere || delayMs > this.#settings.maxRetryMs) {
      return { kind: 'back-off', delayMs, attempt, isUsed }
    }
    const { [headerNames.unhandledFor]: _, ...lasting } = lastingHeaders(delivery)
    const headers = attempt === 1 ? lasting : { ...lasting, [headerNames.attempt]: String(attempt) }
    const settled = () => this.#settings.emit('postponed', { ...delivery.info, delayMs })
    return { kind: 'settle', verdict: { kind: 'retry', delayMs, headers }, settled }
  }

  /** One attempt. Never rejects. */
  attempt(delivery: DeliveryInHand, handler: ActiveHandler): Promise<Disposition> {
    // Usually, without a closure a message.
    if (this.#settings.propagation === undefined) return this.#attempt(delivery, handler)
    return this.#inContext(delivery, () => this.#attempt(delivery, handler))
  }

  async #attempt(delivery: DeliveryInHand, handler: ActiveHandler): Promise<Disposition> {
    const { emit, clock, broadcast, handledInVain } = this.#settings
    const startedAt = clock.monotonic()
    const { expiresAt } = delivery.message
    if (expiresAt !== undefined && expiresAt.getTime() <= clock.now()) {
      return this.#acked(delivery, () => {
        emit('expired', delivery.info)
        this.#tell(delivery, 'expired', undefined)
      })
    }
    if (!broadcast && handledInVain.take(delivery)) {
      return {
        ...this.#acked(delivery, () => emit('duplicate', { ...delivery.info, state: 'done' })),
        isHandled: true,
      }
    }
    const preparing = this.#prepare(delivery, handler)
    const refused = preparing instanceof Promise ? await preparing : preparing
    if (refused !== undefined) return refused
    const guard = this.#guard
    try {
      const state = guard && (await guard.begin(delivery))
      if (state !== undefined && state.state !== 'started') return this.#duplicate(delivery, state)
      if (delivery.ended) {
        // Lost or given back while it was being checked: another member has it now.
        await guard?.abandon(delivery)
        return release
      }
      // A batch begins to run when it is full.
      if (handler.collector === undefined) delivery.run(clock.monotonic())
      let answer: unknown
      try {
        answer = await this.#run(delivery, handler)
      } catch (error) {
        await guard?.abandon(delivery)
        const breaker = handler.gate?.breaker
        // Because something is down that the handler depends on: no attempt of the message.
        if (breaker?.failed(delivery, toError(error))) return this.#postponed(delivery, breaker.retryMs, true)
        throw error
      }
      if (answer instanceof AskedVerdict) {
        await guard?.abandon(delivery)
        handler.gate?.breaker?.left(delivery)
        return this.#fulfil(delivery, handler, answer.wish)
      }
      const asked = this.#answers.asked(delivery, handler)
      const problem = asked && (await this.#answers.problem(asked, answer))
      if (problem !== undefined) {
        await guard?.abandon(delivery)
        return this.#giveUp(delivery, 'invalid-reply', problem)
      }
      handler.gate?.breaker?.succeeded(delivery)
      if (guard !== undefined) await guard.complete(delivery)
      // After the effect is marked: a crash between the two costs a reply, not a second effect. Before the ack.
      const unsendable = asked && (await this.#answers.reply(delivery, asked, answer))
      if (unsendable !== undefined) return this.#giveUp(delivery, 'reply-not-sent', unsendable)
    } catch (error) {
      try {
        return this.#failed(delivery, handler, error)
      } catch {
        return this.#failed(delivery, handler, new Error('The handler threw an error that cannot be read'))
      }
    }
    const durationMs = clock.monotonic() - startedAt
    return {
      ...this.#acked(delivery, () => emit('handled', { ...delivery.info, durationMs })),
      isHandled: true,
    }
  }

  /** Runs the handler within its middleware; what it returned. */
  async #run(delivery: DeliveryInHand, handler: ActiveHandler): Promise<unknown> {
    const { middleware, clock } = this.#settings
    const limited = (run: () => unknown) =>
      whileHandling(delivery.message, () => withTimeLimit(handler.timeoutMs, clock, [delivery], run))
    let answer: unknown
    if (middleware.length === 0) answer = await limited(() => handler.handle(delivery))
    else {
      const innermost = async () => {
        answer = await handler.handle(delivery)
      }
      const reached = await limited(() => compose(middleware, delivery.context, innermost))
      if (reached === false) throw neverReached()
    }
    return answer
  }

  #fulfil(delivery: DeliveryInHand, handler: ActiveHandler, wish: Wish): Disposition {
    switch (wish.kind) {
      case 'release':
        return release
      case 'dead-letter':
        return this.#giveUp(delivery, wish.reason, undefined)
      case 'retry': {
        const { delay } = wish
        const why = 'Retry was asked for'
        return this.#failed(
          delivery,
          handler,
          delay === undefined ? new Error(why) : new RetryAfter(delay, why),
        )
      }
    }
  }

  close(): void {
    this.#guard?.close()
    for (const collector of this.#handlers.collectors) collector.close()
  }

  /** Upcasts and validates the data; a disposition when it cannot be handled. Synchronous when the schema is. */
  #prepare(
    delivery: DeliveryInHand,
    { definition }: ActiveHandler,
  ): Disposition | undefined | Promise<Disposition | undefined> {
    if (definition === undefined) return undefined
    const { type, version, data } = delivery.message
    const invalid = (error: unknown) => this.#giveUp(delivery, 'invalid-data', toError(error))
    try {
      const upcast = upcastData(definition, version, data)
      if (upcast === undefined) {
        const why = `No upcast leads from version ${version} of ${type} to version ${definition.version}`
        return this.#giveUp(delivery, 'unknown-version', new MessagingError('undecodable', why))
      }
      const checked = validateData(definition.schema, upcast.data)
      return checked instanceof Promise
        ? checked.then((validated) => this.#take(delivery, definition, validated), invalid)
        : this.#take(delivery, definition, checked)
    } catch (error) {
      return invalid(error)
    }
  }

  #take(
    delivery: DeliveryInHand,
    { version }: MessageDefinition,
    validated: Validated<unknown>,
  ): Disposition | undefined {
    if ('value' in validated) {
      delivery.validated({ ...delivery.message, version, data: validated.value })
      return undefined
    }
    const list = validated.issues.map(({ path, message }) => `${path === '' ? 'data' : path}: ${message}`)
    return this.#giveUp(delivery, 'invalid-data', new MessagingError('undecodable', list.join('; ')))
  }

  #duplicate(
    delivery: DeliveryInHand,
    state: { readonly state: 'done' } | { readonly state: 'processing'; readonly remainingMs: number },
  ): Disposition {
    const { info, attempt } = delivery
    const settled = () => this.#settings.emit('duplicate', { ...info, state: state.state })
    if (state.state === 'done') return this.#acked(delivery, settled)
    // Some databases report odd numbers for a lease that never ends or has just ended.
    const { remainingMs } = state
    const delayMs = remainingMs > 0 ? Math.min(remainingMs, duplicateDelayMs) : duplicateDelayMs
    return this.#again(delivery, delayMs, attempt, settled)
  }

  #failed(delivery: DeliveryInHand, handler: ActiveHandler, error: unknown): Disposition {
    const { emit } = this.#settings
    if (MessagingError.is(error) && error.code === 'skip') {
      const { message: reason } = error
      // What was thrown may throw again when it is read.
      const readable = toError(error)
      return this.#acked(delivery, () => {
        emit('skipped', { ...delivery.info, reason })
        // The message that it is a duplicate of has its own reply.
        if (!(error instanceof SkipDuplicate)) this.#tell(delivery, 'skipped', readable)
      })
    }
    const decision = this.#decide(delivery, handler, error)
    if (!decision.retry) return this.#giveUp(delivery, decision.reason, toError(error))
    const event = { ...delivery.info, delayMs: decision.delayMs, error: toError(error) }
    return this.#again(delivery, decision.delayMs, delivery.attempt + 1, () => emit('retried', event))
  }

  #decide(delivery: DeliveryInHand, handler: ActiveHandler, error: unknown): RetryDecision {
    const { emit } = this.#settings
    const { attempt } = delivery
    const asked = attemptsAskedFor(delivery.delivery.headers)
    const retry = asked === undefined ? handler.retry : { ...handler.retry, attempts: asked }
    try {
      return decideRetry(retry, attempt, error)
    } catch (broken) {
      emit('failure', { what: 'retry policy', error: toMessagingError(broken, 'The retry policy threw') })
      return decideRetry({ ...defaultRetry, attempts: retry.attempts }, attempt, toError(error))
    }
  }

  /** Nothing comes back from the broker after a delay. */
  get #waitsHere(): boolean {
    const { ordered, broadcast, maxRetryMs } = this.#settings
    return ordered || broadcast || maxRetryMs === 0
  }

  #again(delivery: DeliveryInHand, delayMs: number, attempt: number, scheduled: () => void): Disposition {
    if (this.#waitsHere || delayMs > this.#settings.maxRetryMs) {
      scheduled()
      return { kind: 'back-off', delayMs, attempt, isUsed: true }
    }
    const headers = retryHeaders(delivery, attempt, this.#settings.clock.now())
    return { kind: 'settle', verdict: { kind: 'retry', delayMs, headers }, settled: scheduled }
  }

  #acked(delivery: DeliveryInHand, settled: () => void): Extract<Disposition, { kind: 'settle' }> {
    const { broadcast, reader, emit } = this.#settings
    const { headers } = delivery.delivery
    if (broadcast || headers[headerNames.stages] === undefined) {
      return { kind: 'settle', verdict: { kind: 'ack' }, settled }
    }
    const told = () => {
      settled()
      const failed = (error: unknown) =>
        emit('failure', { what: 'stages after the ack', error: toMessagingError(error, 'A stage failed') })
      reader.done(delivery.delivery).catch(failed)
    }
    return { kind: 'settle', verdict: { kind: 'ack' }, settled: told }
  }

  #inContext<Result>(delivery: DeliveryInHand, run: () => Result): Result {
    const { propagation, emit } = this.#settings
    return withinContext(propagation, delivery, run, (error) =>
      emit('failure', { what: 'propagation', error: toMessagingError(error, 'The propagation failed') }),
    )
  }

  /** Tells the requester that there will be no reply, if those who handle such requests are here. */
  #tell(delivery: DeliveryInHand, reason: string, error: Error | undefined): void {
    const definition = delivery.isRead
      ? this.#handlers.find(delivery.message.type)?.definition
      : this.#handlers.anyRequest
    if (definition?.reply !== undefined) this.#answers.gaveUp(delivery, definition, reason, error)
  }

  #giveUp(delivery: DeliveryInHand, reason: string, error: Error | undefined): Disposition {
    const { clock, emit, broadcast } = this.#settings
    const event = { ...delivery.info, reason, error }
    if (broadcast) return this.#acked(delivery, () => emit('dropped', event))
    const headers = deadLetterHeaders(delivery, reason, error, clock.now())
    return {
      kind: 'settle',
      verdict: { kind: 'dead-letter', headers },
      settled: () =>
        this.#inContext(delivery, () => {
          emit('deadLettered', event)
          this.#tell(delivery, reason, error)
        }),
    }
  }
}

function neverReached(): MessagingError {
  const what = 'A middleware resolved without calling next(), so the handler never ran'
  return new MessagingError('failed', `${what}. Call next(), or throw SkipMessage to do without the handler`)
}
