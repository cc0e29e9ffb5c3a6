import type { Duration, Message, MessageDefinition } from '@waybill/core'
import type { LaterOptions } from '@waybill/core/outbox'
import type { Transaction } from '../transaction.ts'

/** What is sent when the transaction commits. */
export interface SagaSend {
  readonly definition: MessageDefinition
  readonly data: unknown
  readonly options: LaterOptions
}

/** What the functions of a saga get. Everything they ask for takes effect with the transaction, or not at all. */
export interface SagaContext<Data> {
  readonly id: string
  readonly data: Readonly<Data>
  /** The message's own transaction, for rows of yours. */
  readonly transaction: Transaction
  /** Sends through the outbox: as the transaction commits, and once. */
  send<Input>(definition: MessageDefinition<Input>, data: NoInfer<Input>, options?: LaterOptions): void
  /** Changes the saga's data. The result has to fit its schema. */
  update(changes: Partial<Data>): void
  /**
   * Undoes what was done, in reverse order, after this function. In a saga without steps it ends as `compensated`, and the
   * function sends what undoes it.
   */
  compensate(reason: string): void
}

/** What the handlers of free messages and timeouts get besides. */
export interface SagaHandlerContext<Data> extends SagaContext<Data> {
  /** The state that `during` compares with. Only in a saga without steps. */
  become(state: string): void
  /** Ends the saga as `completed`, whatever steps are left. */
  complete(): void
  /** Calls the handler that `onTimeout` has for this name, unless `cancelTimeout` comes first. Replaces one of the same name. */
  timeout(name: string, after: Duration): void
  cancelTimeout(name: string): void
}

/** With the message that is being handled. */
export type WithMessage<Context, Output = unknown, Type extends string = string> = Context & {
  readonly message: Message<Output, Type>
}

/** Which saga a message is for. */
export interface CorrelationOptions<Output> {
  /** The saga's id from the message's data. Default: the message's key, as its definition makes it. */
  readonly id?: (data: Output) => string
}

export interface StartPartOptions<Data, Output, Type extends string> extends CorrelationOptions<Output> {
  /** Called once the saga exists: what a saga without steps does first. Steps come after it. */
  readonly first?: (context: WithMessage<SagaHandlerContext<Data>, Output, Type>) => void | Promise<void>
}

export interface HandlerPartOptions<Output> extends CorrelationOptions<Output> {
  /** States, made by `become`, or names of steps in which it is handled; otherwise it is ignored. Default: all. */
  readonly during?: readonly string[]
  /**
   * What becomes of it when there is no such saga. `retry`: its saga may be about to start, so the consumer's retry policy
   * decides, and the dead letters in the end. Default: `retry`.
   */
  readonly unknown?: 'retry' | 'dead-letter' | 'ignore'
}

// The functions of parts are methods, not properties, so that one for a certain message fits where any will do: the consumer
// has parsed the message by the part's own definition.

/** What all parts share that have a message. */
interface MessagePart {
  readonly definition: MessageDefinition
  idOf?(data: unknown): string
}

/** A message that answers a step. Made by `reply`. */
export interface ReplyPart<Data> extends MessagePart {
  readonly part: 'reply'
  handle?(context: WithMessage<SagaContext<Data>>): unknown
}

export interface StepOptions<Data> {
  /** Asks for the step: sends a command, or writes rows. Without `done` the step is done by this alone. */
  readonly run: (context: SagaContext<Data>) => void | Promise<void>
  /** The answers, one of which ends the step. Default: none. */
  readonly done?: ReplyPart<Data> | readonly ReplyPart<Data>[]
  /** The answers that say that nothing was done. They begin the compensation of the steps before. */
  readonly refused?: ReplyPart<Data> | readonly ReplyPart<Data>[]
  /**
   * Undoes the step. It must be able to undo what was never done: a step that timed out is compensated as well.
   * Default: the step needs no undoing.
   */
  readonly compensate?: (context: SagaContext<Data>) => void | Promise<void>
  /** The answers to the compensation, one of which ends it. Default: it is not waited for. */
  readonly compensated?: ReplyPart<Data> | readonly ReplyPart<Data>[]
  /**
   * How long to wait for `compensated` before the compensation is asked for again, each time it passes. Default: for ever.
   */
  readonly compensationTimeout?: Duration
  /** How long to wait for `done` or `refused` before compensating. Default: for ever. */
  readonly timeout?: Duration
}

export interface StartPart<Data> extends MessagePart {
  readonly part: 'start'
  begin(message: Message): unknown
  first?(context: WithMessage<SagaHandlerContext<Data>>): void | Promise<void>
}

export interface StepPart<Data> {
  readonly part: 'step'
  readonly name: string
  readonly options: StepOptions<Data>
}

export interface HandlerPart<Data> extends MessagePart {
  readonly part: 'handler'
  readonly during?: readonly string[]
  readonly unknown: 'retry' | 'dead-letter' | 'ignore'
  handle(context: WithMessage<SagaHandlerContext<Data>>): void | Promise<void>
}

export interface TimeoutPart<Data> {
  readonly part: 'timeout'
  readonly name: string
  readonly handle: (context: SagaHandlerContext<Data>) => void | Promise<void>
}

export type SagaPart<Data> = StartPart<Data> | StepPart<Data> | HandlerPart<Data> | TimeoutPart<Data>

/** What a saga is made of. `Input` is what its data's schema takes, `Data` what it gives. */
export interface SagaParts<Input, Data> {
  /** A message that starts a saga, with the data that `begin` makes. Further ones of the same id change nothing. */
  startedBy<In, Output, Type extends string>(
    definition: MessageDefinition<In, Output, string, Type>,
    begin: (message: Message<Output, Type>) => Input,
    options?: StartPartOptions<Data, Output, Type>,
  ): StartPart<Data>
  /** One of the steps, which are taken in the order in which they are listed. */
  step(name: string, options: StepOptions<Data>): StepPart<Data>
  /** An answer to a step. In `refused` the handler may return the reason. */
  reply<In, Output, Type extends string>(
    definition: MessageDefinition<In, Output, string, Type>,
    handle?: (context: WithMessage<SagaContext<Data>, Output, Type>) => unknown,
    options?: CorrelationOptions<Output>,
  ): ReplyPart<Data>
  /** A message that is handled while the saga is running, whatever step it is at. */
  on<In, Output, Type extends string>(
    definition: MessageDefinition<In, Output, string, Type>,
    handle: (context: WithMessage<SagaHandlerContext<Data>, Output, Type>) => void | Promise<void>,
    options?: HandlerPartOptions<Output>,
  ): HandlerPart<Data>
  /** What happens when a timeout of this name was not cancelled. */
  onTimeout(
    name: string,
    handle: (context: SagaHandlerContext<Data>) => void | Promise<void>,
  ): TimeoutPart<Data>
}

/** The makers of parts for one type of data. What they are given is checked by `defineSaga`. */
export function sagaParts<Input, Data>(): SagaParts<Input, Data> {
  return {
    startedBy: (definition, begin, { id, first } = {}) => ({
      part: 'start',
      definition,
      begin,
      ...(id && { idOf: id }),
      ...(first && { first }),
    }),
    step: (name, options) => ({ part: 'step', name, options }),
    reply: (definition, handle, { id } = {}) => ({
      part: 'reply',
      definition,
      ...(handle && { handle }),
      ...(id && { idOf: id }),
    }),
    on: (definition, handle, { id, during, unknown = 'retry' } = {}) => ({
      part: 'handler',
      definition,
      handle,
      unknown,
      ...(id && { idOf: id }),
      ...(during && { during }),
    }),
    onTimeout: (name, handle) => ({ part: 'timeout', name, handle }),
  }
}
