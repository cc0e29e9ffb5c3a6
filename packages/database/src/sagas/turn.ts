import { randomUUID } from 'node:crypto'
import type { Duration, Message } from '@waybill/core'
import { PermanentError } from '@waybill/core'
import type { LaterOptions } from '@waybill/core/outbox'
import type { Transaction } from '../transaction.ts'
import type { SagaDefinition, SagaStep, SagaTimeout } from './define-saga.ts'
import type {
  HandlerPart,
  ReplyPart,
  SagaContext,
  SagaHandlerContext,
  SagaSend,
  StartPart,
  WithMessage,
} from './saga-parts.ts'
import type { IgnoredBecause, SagaEventKind, SagaRecord } from './saga-state.ts'

export interface TurnEvent {
  readonly kind: SagaEventKind
  readonly step: string | undefined
  readonly detail: string | undefined
}

/** What a reply is to its step. */
export type ReplyRole = 'done' | 'refused' | 'compensated'

const dueTimeout = (step: string) => `step ${step}`
const dueCompensation = (step: string) => `compensation of ${step}`

/**
 * What one message does to one saga. It reads and changes the record in its hands and gathers what is to be sent and told;
 * nothing of it counts before the transaction has stored it all.
 */
export class Turn<Data> {
  readonly sends: SagaSend[] = []
  readonly events: TurnEvent[] = []
  /** Whether the record has to be stored. */
  changed = false
  /** Whether it only waits on, so that it counts as idle. */
  waitsOn = false
  readonly #definition: SagaDefinition<Data>
  readonly #record: SagaRecord
  readonly #transaction: Transaction
  readonly #message: Message
  /** As the schema gives it. */
  #data: Data
  /** Asked for by the function that is being called. */
  #compensation: string | undefined

  constructor(
    definition: SagaDefinition<Data>,
    record: SagaRecord,
    data: Data,
    transaction: Transaction,
    message: Message,
  ) {
    this.#definition = definition
    this.#record = record
    this.#data = data
    this.#transaction = transaction
    this.#message = message
  }

  async start(part: StartPart<Data>): Promise<void> {
    this.#tell('started')
    if (part.first !== undefined) {
      await part.first(this.#withMessage(this.#handlerContext()))
      if (await this.#compensateIfAsked()) return
    }
    if (this.#definition.steps.length > 0 && this.#isRunning) await this.#enter(0)
  }

  async reply(step: SagaStep<Data>, role: ReplyRole, part: ReplyPart<Data>): Promise<void> {
    switch (role) {
      case 'done':
        return await this.#done(step, part)
      case 'refused':
        return await this.#refused(step, part)
      case 'compensated':
        return await this.#compensated(step, part)
    }
  }

  async handle(part: HandlerPart<Data>): Promise<void> {
    if (!this.#isRunning) return this.ignore('too late')
    const { step } = this.#record
    if (part.during !== undefined && (step === undefined || !part.during.includes(step)))
      return this.ignore('not in this state')
    this.#tell('handled', step)
    await part.handle(this.#withMessage(this.#handlerContext()))
    await this.#compensateIfAsked()
  }

  /** A timeout that is due. One that was answered or cancelled is nothing to tell: most of them are. */
  async timeout({ name, token }: SagaTimeout): Promise<void> {
    if (this.#record.timeouts[name] !== token) return
    delete this.#record.timeouts[name]
    if (this.#record.status === 'compensating') return await this.#compensateAgain(name)
    if (!this.#isRunning) return
    const step = this.#definition.steps.find((each) => dueTimeout(each.name) === name)
    if (step !== undefined) {
      this.#tell('timed-out', step.name)
      return await this.#compensate(`no answer to "${step.name}" within ${describeDuration(step.timeout)}`)
    }
    const part = this.#definition.timeouts.get(name)
    if (part === undefined) return
    this.#tell('timed-out', this.#record.step, name)
    await part.handle(this.#handlerContext())
    await this.#compensateIfAsked()
  }

  ignore(because: IgnoredBecause): void {
    this.events.push({ kind: 'ignored', step: this.#record.step, detail: because })
  }

  get data(): Data {
    return this.#data
  }

  get #isRunning(): boolean {
    return this.#record.status === 'running'
  }

  /** Takes the steps from this one on until one has to wait for its answer. */
  async #enter(from: number): Promise<void> {
    for (const step of this.#definition.steps.slice(from)) {
      const { name, run, done, timeout } = step
      const sent = this.sends.length
      this.#record.step = name
      this.#record.steps[name] = 'waiting'
      this.#tell('step-started', name)
      await run(this.#context())
      // Without a message there is nobody who could have done anything.
      if (this.#compensation !== undefined && this.sends.length === sent) this.#record.steps[name] = 'refused'
      if (await this.#compensateIfAsked()) return
      if (done.length > 0) {
        if (timeout !== undefined) this.#setTimeout(dueTimeout(name), timeout)
        return
      }
      this.#record.steps[name] = 'done'
      this.#tell('step-done', name)
    }
    this.#end('completed')
  }

  async #done(step: SagaStep<Data>, part: ReplyPart<Data>): Promise<void> {
    const { name } = step
    if (this.#isLateAnswer(name)) return await this.#wasDoneAfterAll(step)
    if (this.#record.steps[name] !== 'waiting') return this.#ignoreAnswer()
    delete this.#record.timeouts[dueTimeout(name)]
    this.#record.steps[name] = 'done'
    this.#tell('step-done', name)
    await part.handle?.(this.#withMessage(this.#context()))
    if (await this.#compensateIfAsked()) return
    await this.#enter(this.#definition.steps.indexOf(step) + 1)
  }

  async #refused({ name }: SagaStep<Data>, part: ReplyPart<Data>): Promise<void> {
    if (this.#isLateAnswer(name)) {
      this.#resolveDoubt(name)
      if (this.#record.steps[name] === 'in-doubt') this.#record.steps[name] = 'refused'
      return this.#tell('step-refused', name)
    }
    if (this.#record.steps[name] !== 'waiting') return this.#ignoreAnswer()
    delete this.#record.timeouts[dueTimeout(name)]
    this.#record.steps[name] = 'refused'
    const given = await part.handle?.(this.#withMessage(this.#context()))
    const reason = typeof given === 'string' ? given : `"${name}" was refused by ${this.#message.type}`
    this.#tell('step-refused', name, reason)
    await this.#compensate(this.#compensation ?? reason)
  }

  async #compensated({ name }: SagaStep<Data>, part: ReplyPart<Data>): Promise<void> {
    if (this.#record.steps[name] !== 'compensating') return this.#ignoreAnswer()
    delete this.#record.timeouts[dueCompensation(name)]
    this.#record.steps[name] = 'compensated'
    this.#tell('step-compensated', name)
    await part.handle?.(this.#withMessage(this.#context()))
    await this.#compensateNext()
  }

  /** It was compensated in doubt, and the answer to the step itself is still to come. */
  #isLateAnswer(name: string): boolean {
    return this.#record.doubts.includes(name)
  }

  /**
   * The compensation may have been there before the step was, and have found nothing to undo. So it is asked for again, once;
   * at best there is nothing left to undo.
   */
  async #wasDoneAfterAll({ name, compensate }: SagaStep<Data>): Promise<void> {
    this.#resolveDoubt(name)
    // Its turn has not come yet: it will be compensated as what it is.
    if (this.#record.steps[name] === 'in-doubt') {
      this.#record.steps[name] = 'done'
      return this.#tell('step-done', name)
    }
    this.#tell('compensated-again', name)
    await compensate?.(this.#context())
  }

  #resolveDoubt(name: string): void {
    this.#record.doubts = this.#record.doubts.filter((each) => each !== name)
  }

  #ignoreAnswer(): void {
    this.ignore(this.#isRunning ? 'already answered' : 'too late')
  }

  /** After a function that may have asked for it. */
  async #compensateIfAsked(): Promise<boolean> {
    if (this.#compensation === undefined || !this.#isRunning) return false
    await this.#compensate(this.#compensation)
    return true
  }

  async #compensate(reason: string): Promise<void> {
    this.#record.status = 'compensating'
    this.#record.reason = reason
    this.#record.timeouts = {}
    for (const [name, status] of Object.entries(this.#record.steps)) {
      if (status !== 'waiting') continue
      this.#record.steps[name] = 'in-doubt'
      this.#record.doubts.push(name)
    }
    this.#tell('compensating', undefined, reason)
    await this.#compensateNext()
  }

  /** Undoes steps, the last one first, until one has to wait for its answer. */
  async #compensateNext(): Promise<void> {
    for (const step of this.#definition.steps.toReversed()) {
      const { name, compensate, compensated } = step
      const status = this.#record.steps[name]
      if (compensate === undefined || (status !== 'done' && status !== 'in-doubt')) continue
      this.#record.step = name
      this.#record.steps[name] = 'compensating'
      this.#tell('step-compensating', name)
      await compensate(this.#context())
      if (compensated.length > 0) return this.#awaitCompensated(step)
      this.#record.steps[name] = 'compensated'
      this.#tell('step-compensated', name)
    }
    this.#end('compensated')
  }

  #awaitCompensated({ name, compensationTimeout }: SagaStep<Data>): void {
    if (compensationTimeout !== undefined) this.#setTimeout(dueCompensation(name), compensationTimeout)
  }

  async #compensateAgain(timeout: string): Promise<void> {
    const step = this.#definition.steps.find(({ name }) => dueCompensation(name) === timeout)
    if (step === undefined) return
    this.#tell('compensation-timed-out', step.name)
    await step.compensate?.(this.#context())
    this.#awaitCompensated(step)
    this.waitsOn = true
  }

  #end(status: 'completed' | 'compensated'): void {
    this.#record.status = status
    this.#record.step = undefined
    this.#record.timeouts = {}
    this.#tell(status)
  }

  #setTimeout(name: string, after: Duration): void {
    const token = randomUUID()
    this.#record.timeouts[name] = token
    this.#send(this.#definition.timeout, { id: this.#record.id, name, token }, { delay: after })
  }

  #send(definition: SagaSend['definition'], data: unknown, options: LaterOptions = {}): void {
    const { id, metadata } = this.#message
    const correlationId = metadata.correlationId ?? id
    this.sends.push({ definition, data, options: { correlationId, causationId: id, ...options } })
  }

  #tell(kind: SagaEventKind, step?: string, detail?: string): void {
    this.changed = true
    this.events.push({ kind, step, detail })
  }

  #context(): SagaContext<Data> {
    return {
      id: this.#record.id,
      data: this.#data,
      transaction: this.#transaction,
      send: (definition, data, options) => this.#send(definition, data, options),
      update: (changes) => {
        this.#data = { ...this.#data, ...changes }
        this.changed = true
      },
      compensate: (reason) => {
        this.#compensation ??= reason
      },
    }
  }

  #handlerContext(): SagaHandlerContext<Data> {
    return {
      ...this.#context(),
      become: (state) => {
        if (this.#definition.steps.length > 0) throw this.#misuse('become', 'its steps are its states')
        this.#record.step = state
        this.changed = true
      },
      complete: () => {
        if (this.#isRunning) this.#end('completed')
      },
      timeout: (name, after) => {
        if (!this.#definition.timeouts.has(name))
          throw this.#misuse(`timeout("${name}")`, `it has no onTimeout("${name}", …)`)
        this.#setTimeout(name, after)
        this.changed = true
      },
      cancelTimeout: (name) => {
        delete this.#record.timeouts[name]
        this.changed = true
      },
    }
  }

  #withMessage<Context>(context: Context): WithMessage<Context> {
    return { ...context, message: this.#message }
  }

  #misuse(what: string, why: string): PermanentError {
    return new PermanentError(`Saga "${this.#definition.name}" called ${what}, but ${why}`)
  }
}

function describeDuration(duration: Duration | undefined): string {
  return typeof duration === 'number' ? `${duration} ms` : String(duration)
}
