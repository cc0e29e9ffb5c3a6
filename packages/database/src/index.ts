export type { Database } from './database.ts'
export type { Dialect } from './dialect.ts'
export type { Failure, FailureEvents } from './emitter.ts'
export {
  type Appended,
  type AppendOptions,
  type EventOutbox,
  EventStore,
  type EventStoreOptions,
  type ReadAllOptions,
  type ReadStreamOptions,
} from './event-store/event-store.ts'
export {
  Projection,
  type ProjectionHealth,
  type ProjectionRunOptions,
  type ProjectionStats,
} from './event-store/projection.ts'
export {
  defineProjection,
  type ProjectionDefinition,
  type ProjectionHandler,
  type ProjectionOptions,
  when,
} from './event-store/projection-definition.ts'
export { type EventOf, eventOf, type NewEvent, type StoredEvent } from './event-store/stored-event.ts'
export { StreamConflict } from './event-store/stream-conflict.ts'
export type { DatabaseIdempotencyStore, IdempotencyStoreOptions } from './idempotency/idempotency-store.ts'
export { Inbox, type InboxOptions, type Marked, type Once } from './inbox/inbox.ts'
export type { Migration } from './migrations/migration.ts'
export type { ParkedMessage, ParkedPage, ParkedSelection } from './outbox/parked.ts'
export type { OutboxStats } from './outbox/stats.ts'
export { Outbox, type OutboxMessage, type OutboxOptions } from './outbox.ts'
export { Relay, type RelayHealth, type RelayStats, type RelayStopOptions } from './relay/relay.ts'
export type { RelayEvents, RelayedMessage } from './relay/relay-events.ts'
export type { RelayOptions } from './relay/relay-options.ts'
export { defineSaga, type SagaDefinition, type SagaOptions } from './sagas/define-saga.ts'
export {
  Saga,
  type SagaInbox,
  type SagaListOptions,
  type SagaOutbox,
  type SagaRuntime,
} from './sagas/saga.ts'
export type {
  CorrelationOptions,
  HandlerPart,
  HandlerPartOptions,
  ReplyPart,
  SagaContext,
  SagaHandlerContext,
  SagaPart,
  SagaParts,
  StartPart,
  StartPartOptions,
  StepOptions,
  StepPart,
  TimeoutPart,
  WithMessage,
} from './sagas/saga-parts.ts'
export type { SagaEvent, SagaEventKind, SagaState, SagaStatus, StepStatus } from './sagas/saga-state.ts'
export type { Queries, Transaction } from './transaction.ts'
