/**
 * `running` until all steps are done, or until something asks for compensation; then `compensating` until what was done is
 * undone. `completed` and `compensated` are ends.
 */
export type SagaStatus = 'running' | 'compensating' | 'completed' | 'compensated'

/**
 * `in-doubt`: nobody answered in time, so that it may have been done or not; it is compensated as if it had been.
 */
export type StepStatus = 'waiting' | 'done' | 'refused' | 'in-doubt' | 'compensating' | 'compensated'

/** Where one saga is. */
export interface SagaState<Data = unknown> {
  readonly id: string
  readonly status: SagaStatus
  /** The step whose answer it waits for, or what `become` said. Undefined after the end. */
  readonly step: string | undefined
  readonly data: Data
  /** Of the steps that were begun, by name. */
  readonly steps: Readonly<Record<string, StepStatus>>
  /** Why it is compensating, or was. */
  readonly reason: string | undefined
  /** Raised by every message that changed it. */
  readonly version: number
  readonly startedAt: Date
  readonly updatedAt: Date
}

export type SagaEventKind =
  | 'started'
  | 'handled'
  | 'step-started'
  | 'step-done'
  | 'step-refused'
  | 'timed-out'
  | 'compensating'
  | 'step-compensating'
  | 'step-compensated'
  /** Nobody answered to a compensation in time, so it was asked for again. */
  | 'compensation-timed-out'
  /** A step that was compensated because nobody had answered was done after all, so its compensation was asked for again. */
  | 'compensated-again'
  | 'completed'
  | 'compensated'
  | 'ignored'

/** What happened to a saga, and through which message. */
export interface SagaEvent {
  readonly at: Date
  readonly kind: SagaEventKind
  readonly step: string | undefined
  /** A reason, or why a message was ignored. */
  readonly detail: string | undefined
  readonly message: { readonly type: string; readonly id: string }
}

/** Why a message changed nothing. */
export type IgnoredBecause =
  /** It starts sagas, and one of its id exists. */
  | 'already started'
  /** Its step has its answer, or is not waiting for one. */
  | 'already answered'
  /** The saga has ended, or is being compensated. */
  | 'too late'
  /** None of its handlers is for the saga's current state. */
  | 'not in this state'
  /** There is no such saga, and the handler says that this is no error. */
  | 'unknown saga'

/** The state as it is stored: what `SagaState` shows, and the machinery's own. */
export interface SagaRecord {
  readonly id: string
  status: SagaStatus
  step: string | undefined
  data: unknown
  steps: Record<string, StepStatus>
  /** Steps that were in doubt when they were compensated. A late answer can resolve each once. */
  doubts: string[]
  /** What it waits for, by the name of the timeout: the token that its message has to carry. */
  timeouts: Record<string, string>
  reason: string | undefined
  version: number
  startedAt: number
  updatedAt: number
}
