import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { compose } from '../lib/compose.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { RetryAfter } from '../lib/retry-after.ts'
import { type MessageDefinition, upcastData, type Validated, validateData } from '../messages/definition.ts'
import { Answers } from './answers.ts'
import { AskedVerdict, type Wish } from './asked-verdict.ts'
import type { BreakerState } from './circuit-breaker.ts'
import { EffectGuard } from './effect-guard.ts'
import { type Disposition, Endings, release } from './endings.ts'
import type { Passage } from './gate.ts'
import type { ActiveHandler, Handlers } from './handlers.ts'
import { whileHandling } from './handling.ts'
import { MessageReading, type ReadingResult } from './message-reading.ts'
import type { ProcessingSettings } from './processing-settings.ts'
import { withTimeLimit } from './time-limit.ts'

/** How many consumers died with it in hand. Releases, pauses and drains are not among them. */
function crashesOf({ delivery: { crashes, deliveries, attempt } }: DeliveryInHand): number {
  return crashes ?? deliveries - attempt
}

// How soon a message comes back that cannot be read because a store or a registry is away.
const unreadableDelayMs = 30_000

/** What happens to one delivery: it is read, checked, handed to its handler, and ended. See `Endings` for how it can end. */
export class Processing {
  readonly #settings: ProcessingSettings
  readonly #handlers: Handlers
  readonly #guard: EffectGuard | undefined
  readonly #reading: MessageReading
  readonly #answers: Answers
  readonly #endings: Endings
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
    this.#endings = new Endings({ settings, handlers, answers: this.#answers })
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
      return this.#endings.giveUp(delivery, 'undecodable', toError(error))
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
      if (result === 'later')
        return this.#endings.again(delivery, unreadableDelayMs, delivery.attempt, () => {})
      return isNew ? this.#checkCrashes(delivery) : undefined
    } catch (error) {
      return this.#endings.giveUp(delivery, 'undecodable', toError(error))
    }
  }

  #checkCrashes(delivery: DeliveryInHand): Disposition | undefined {
    const { maxDeliveries } = this.#settings
    const crashes = crashesOf(delivery)
    if (crashes >= Math.max(maxDeliveries, this.#excused)) {
      this.#excused = crashes + 1
      const why = `${crashes} consumers died with it in hand`
      return this.#endings.giveUp(delivery, 'crash-loop', new MessagingError('failed', why))
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
    if (passage.kind === 'failed') return this.#endings.failed(delivery, handler, passage.error)
    return this.#endings.postponed(delivery, passage.delayMs, false)
  }

  /** One attempt. Never rejects. */
  attempt(delivery: DeliveryInHand, handler: ActiveHandler): Promise<Disposition> {
    // Usually, without a closure a message.
    if (this.#settings.propagation === undefined) return this.#attempt(delivery, handler)
    return this.#endings.inContext(delivery, () => this.#attempt(delivery, handler))
  }

  async #attempt(delivery: DeliveryInHand, handler: ActiveHandler): Promise<Disposition> {
    const { emit, clock, broadcast, handledInVain, isPull } = this.#settings
    const startedAt = clock.monotonic()
    const { expiresAt } = delivery.message
    if (expiresAt !== undefined && expiresAt.getTime() <= clock.now()) {
      return this.#endings.acked(delivery, () => {
        emit('expired', delivery.info)
        this.#endings.tell(delivery, 'expired', undefined)
      })
    }
    if (!broadcast && handledInVain.take(delivery)) {
      return {
        ...this.#endings.acked(delivery, () => emit('duplicate', { ...delivery.info, state: 'done' })),
        isHandled: true,
      }
    }
    const preparing = this.#prepare(delivery, handler)
    const refused = preparing instanceof Promise ? await preparing : preparing
    if (refused !== undefined) return refused
    const guard = this.#guard
    try {
      const state = guard && (await guard.begin(delivery))
      if (state !== undefined && state.state !== 'started') return this.#endings.duplicate(delivery, state)
      if (delivery.ended) {
        // Lost or given back while it was being checked: another member has it now.
        await guard?.abandon(delivery)
        return release
      }
      // A batch begins to run when it is full.
      if (handler.collector === undefined) delivery.run(clock.monotonic())
      delivery.mode = handler.collector !== undefined ? 'batch' : isPull ? 'pull' : 'single'
      let answer: unknown
      try {
        answer = await this.#run(delivery, handler)
      } catch (error) {
        await guard?.abandon(delivery)
        const breaker = handler.gate?.breaker
        // Because something is down that the handler depends on: no attempt of the message.
        if (breaker?.failed(delivery, toError(error)))
          return this.#endings.postponed(delivery, breaker.retryMs, true)
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
        return this.#endings.giveUp(delivery, 'invalid-reply', problem)
      }
      handler.gate?.breaker?.succeeded(delivery)
      if (guard !== undefined) await guard.complete(delivery)
      // After the effect is marked: a crash between the two costs a reply, not a second effect. Before the ack.
      const unsendable = asked && (await this.#answers.reply(delivery, asked, answer))
      if (unsendable !== undefined) return this.#endings.giveUp(delivery, 'reply-not-sent', unsendable)
    } catch (error) {
      try {
        return this.#endings.failed(delivery, handler, error)
      } catch {
        return this.#endings.failed(
          delivery,
          handler,
          new Error('The handler threw an error that cannot be read'),
        )
      }
    }
    const durationMs = clock.monotonic() - startedAt
    return {
      ...this.#endings.acked(delivery, () => emit('handled', { ...delivery.info, durationMs })),
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
        return this.#endings.giveUp(delivery, wish.reason, undefined)
      case 'retry': {
        const { delay } = wish
        const why = 'Retry was asked for'
        return this.#endings.failed(
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
    const invalid = (error: unknown) => this.#endings.giveUp(delivery, 'invalid-data', toError(error))
    try {
      const upcast = upcastData(definition, version, data)
      if (upcast === undefined) {
        const why = `No upcast leads from version ${version} of ${type} to version ${definition.version}`
        return this.#endings.giveUp(delivery, 'unknown-version', new MessagingError('undecodable', why))
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
    return this.#endings.giveUp(delivery, 'invalid-data', new MessagingError('undecodable', list.join('; ')))
  }
}

function neverReached(): MessagingError {
  const what = 'A middleware resolved without calling next(), so the handler never ran'
  return new MessagingError('failed', `${what}. Call next(), or throw SkipMessage to do without the handler`)
}
