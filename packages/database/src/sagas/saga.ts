import {
  type Consumer,
  type Duration,
  type HandlerContext,
  type Message,
  type MessageDefinition,
  MessagingError,
  PermanentError,
} from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { Database } from '../database.ts'
import type { Transaction } from '../transaction.ts'
import { type SagaDefinition, timeoutOf } from './define-saga.ts'
import { parseData, writtenData } from './saga-data.ts'
import type { SagaSend } from './saga-parts.ts'
import type { SagaEvent, SagaRecord, SagaState, SagaStatus } from './saga-state.ts'
import { SagaStore } from './saga-store.ts'
import { Turn } from './turn.ts'

/** What a saga needs of an inbox: `once` runs the work in the transaction that marks its message. */
export interface SagaInbox {
  once(context: HandlerContext, work: (transaction: Transaction) => Promise<void>): Promise<unknown>
}

/** What a saga needs of an outbox. */
export interface SagaOutbox {
  sendAll(transaction: Transaction, messages: readonly SagaSend[]): Promise<unknown>
}

export interface SagaRuntime {
  readonly database: Database
  readonly inbox: SagaInbox
  readonly outbox: SagaOutbox
}

export interface SagaListOptions {
  /** Default: any. */
  readonly status?: SagaStatus
  /** Only those that have not changed for as long: what is stuck, if the status is `running` or `compensating`. Default: all. */
  readonly idleFor?: Duration
  /** The id of the last one of the page before. Default: from the first. */
  readonly after?: string
  /** 1 to 1000. Default: 100. */
  readonly limit?: number
}

const listSchema = z.strictObject({
  status: z.enum(['running', 'compensating', 'completed', 'compensated']).optional(),
  idleFor: durationOption({ min: 0 }).optional(),
  after: z.string().optional(),
  limit: z.int().min(1).max(1000).default(100),
})

const forgetSchema = z.strictObject({ endedFor: durationOption({ min: 0 }) })

/** A message of a saga, and what the saga does with it. */
export interface SagaHandler {
  readonly definition: MessageDefinition
  handle(message: Message, context: HandlerContext): Promise<void>
}

type Unknown = 'retry' | 'dead-letter' | 'ignore'

/** Somebody else has changed the saga since it was read. */
class SagaConflict extends Error {}

// Each conflict means that another message of the saga went through, so that all but a storm of them passes.
const mostConflicts = 20

/**
 * Runs sagas of one definition on a consumer, and shows them. One message is one transaction: its mark in the inbox, the
 * saga's state, its history, and what it sends.
 *
 * ```ts
 * const checkouts = new Saga(checkout, { database, inbox, outbox })
 * const consumer = checkouts.handleOn(bus.consumer('checkout', { retry: { attempts: 10 } }))
 * await consumer.start()
 * console.log(await checkouts.state('o-1'))
 * ```
 */
export class Saga<Data> {
  readonly definition: SagaDefinition<Data>
  readonly #runtime: SagaRuntime
  readonly #store: SagaStore

  constructor(definition: SagaDefinition<Data>, runtime: SagaRuntime) {
    this.definition = definition
    this.#runtime = runtime
    this.#store = new SagaStore(definition.name, runtime.database.dialect)
  }

  /**
   * Registers a handler for every message of the saga, its timeouts included. Retries and dead letters are the consumer's.
   *
   * ```ts
   * await checkouts.handleOn(bus.consumer('checkout')).start()
   * ```
   *
   * @throws {ConfigurationError} when the consumer has a handler for one of them already.
   */
  handleOn(consumer: Consumer): Consumer {
    for (const { definition, handle } of this.handlers()) consumer.on(definition, handle)
    return consumer
  }

  /**
   * The same for whoever calls handlers by themselves, with the context of the delivery.
   *
   * ```ts
   * for (const { definition, handle } of checkouts.handlers()) consumer.on(definition, handle, { timeout: '30s' })
   * ```
   */
  handlers(): readonly SagaHandler[] {
    const { starts, steps, handlers, timeout } = this.definition
    const replies = steps.flatMap((step) =>
      (['done', 'refused', 'compensated'] as const).flatMap((role) =>
        step[role].map((part) => ({ step, role, part })),
      ),
    )
    return [
      ...starts.map((part) => ({
        definition: part.definition,
        handle: (message: Message, context: HandlerContext) =>
          this.#inTransaction(context, (transaction) => this.#start(part, transaction, message)),
      })),
      ...replies.map(({ step, role, part }) =>
        this.#handler(
          part,
          (message) => this.#idOf(part, message),
          'dead-letter',
          (turn) => turn.reply(step, role, part),
        ),
      ),
      ...handlers.map((part) =>
        this.#handler(
          part,
          (message) => this.#idOf(part, message),
          part.unknown,
          (turn) => turn.handle(part),
        ),
      ),
      // A timeout outlives its saga when the saga was forgotten.
      this.#handler(
        { definition: timeout },
        ({ data }) => timeoutOf(data).id,
        'ignore',
        (turn, { data }) => turn.timeout(timeoutOf(data)),
      ),
    ]
  }

  /**
   * The saga of this id as it is now; undefined if there is none.
   *
   * ```ts
   * const { status, step, steps, reason } = (await checkouts.state('o-1')) ?? {}
   * ```
   *
   * @throws {PermanentError} when its data does not fit the schema.
   */
  async state(id: string): Promise<SagaState<Data> | undefined> {
    const record = await this.#store.find(this.#runtime.database, id)
    return record && (await this.#toState(record))
  }

  /**
   * What happened to it so far, and through which messages, the first event first. Empty if there is no such saga.
   *
   * ```ts
   * for (const { at, kind, step, detail } of await checkouts.history('o-1')) console.log(at, kind, step, detail)
   * ```
   */
  async history(id: string): Promise<readonly SagaEvent[]> {
    return await this.#store.events(this.#runtime.database, id)
  }

  /**
   * A page of sagas, by id.
   *
   * ```ts
   * const stuck = await checkouts.list({ status: 'compensating', idleFor: '10m' })
   * ```
   *
   * @throws {ConfigurationError} when the options are wrong.
   */
  async list(options: SagaListOptions = {}): Promise<readonly SagaState<Data>[]> {
    const { status, idleFor, after, limit } = parseOptions(listSchema, options, 'options of list')
    const filter = { status, idleMs: idleFor, after, limit }
    const records = await this.#store.list(this.#runtime.database, filter)
    return await Promise.all(records.map((record) => this.#toState(record)))
  }

  /**
   * Removes sagas that ended so long ago, with their history. Resolves with how many. A message that comes for one later is of
   * an unknown saga, and a start begins it anew: let `endedFor` be longer than messages may take.
   *
   * ```ts
   * await checkouts.forget({ endedFor: '90d' })
   * ```
   *
   * @throws {ConfigurationError} when the duration is wrong.
   */
  async forget(options: { readonly endedFor: Duration }): Promise<number> {
    const { endedFor } = parseOptions(forgetSchema, options, 'options of forget')
    return await this.#store.forget(this.#runtime.database, endedFor)
  }

  async #start(
    part: SagaDefinition<Data>['starts'][number],
    transaction: Transaction,
    message: Message,
  ): Promise<void> {
    const id = this.#idOf(part, message)
    const found = await this.#store.find(transaction, id)
    if (found !== undefined) return await this.#tellIgnored(transaction, id, message)
    const data = await parseData(this.definition, id, part.begin(message))
    const record: SagaRecord = {
      id,
      status: 'running',
      step: undefined,
      data: undefined,
      steps: {},
      doubts: [],
      timeouts: {},
      reason: undefined,
      version: 1,
      startedAt: 0,
      updatedAt: 0,
    }
    const turn = new Turn(this.definition, record, data, transaction, message)
    await turn.start(part)
    record.data = await writtenData(this.definition, id, turn.data)
    if (!(await this.#store.insert(transaction, record))) throw new SagaConflict()
    await this.#finish(turn, transaction, id, message)
  }

  #handler(
    { definition }: { readonly definition: MessageDefinition },
    idOf: (message: Message) => string,
    unknown: Unknown,
    take: (turn: Turn<Data>, message: Message) => Promise<void>,
  ): SagaHandler {
    return {
      definition,
      handle: (message, context) =>
        this.#inTransaction(context, async (transaction) => {
          const id = idOf(message)
          const record = await this.#store.find(transaction, id)
          if (record === undefined) return this.#unknown(id, message, unknown)
          const data = await parseData(this.definition, id, record.data)
          const turn = new Turn(this.definition, record, data, transaction, message)
          await take(turn, message)
          if (turn.changed) {
            record.data = await writtenData(this.definition, id, turn.data)
            if (!(await this.#store.update(transaction, record, turn))) throw new SagaConflict()
          }
          await this.#finish(turn, transaction, id, message)
        }),
    }
  }

  async #finish(turn: Turn<Data>, transaction: Transaction, id: string, message: Message): Promise<void> {
    await this.#store.addEvents(transaction, id, message, turn.events)
    if (turn.sends.length > 0) await this.#runtime.outbox.sendAll(transaction, turn.sends)
  }

  async #tellIgnored(transaction: Transaction, id: string, message: Message): Promise<void> {
    const detail = 'already started'
    await this.#store.addEvents(transaction, id, message, [{ kind: 'ignored', step: undefined, detail }])
  }

  #unknown(id: string, { type, id: messageId }: Message, then: Unknown): void {
    if (then === 'ignore') return
    const what = `Message ${type} ${messageId} is for saga "${this.definition.name}" ${id}, which does not exist`
    if (then === 'retry') throw new MessagingError('failed', what, { retryable: true })
    // An answer cannot be there before the state whose transaction sent its question.
    throw new PermanentError(`${what}: it was forgotten, or the message has a wrong id`)
  }

  async #inTransaction(
    context: HandlerContext,
    work: (transaction: Transaction) => Promise<void>,
  ): Promise<void> {
    for (let conflicts = 0; ; conflicts += 1) {
      try {
        await this.#runtime.inbox.once(context, work)
        return
      } catch (error) {
        if (!(error instanceof SagaConflict)) throw error
        if (conflicts < mostConflicts && !context.signal.aborted) continue
        const what = `Saga "${this.definition.name}" was changed by others ${conflicts + 1} times while this message was handled`
        throw new MessagingError('failed', `${what}; it will be tried again`, { retryable: true })
      }
    }
  }

  #idOf(
    part: { readonly definition: MessageDefinition; idOf?(data: unknown): string },
    message: Message,
  ): string {
    const { definition } = part
    const id: unknown = part.idOf === undefined ? definition.key?.(message.data) : part.idOf(message.data)
    if (typeof id === 'string' && id !== '') return id
    throw new PermanentError(
      `Message ${message.type} ${message.id} has no id for saga "${this.definition.name}": expected text, not ${JSON.stringify(id)}`,
    )
  }

  async #toState(record: SagaRecord): Promise<SagaState<Data>> {
    const { id, status, step, steps, reason, version } = record
    return {
      id,
      status,
      step,
      data: await parseData(this.definition, id, record.data),
      steps,
      reason,
      version,
      startedAt: new Date(record.startedAt),
      updatedAt: new Date(record.updatedAt),
    }
  }
}
