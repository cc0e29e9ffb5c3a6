export { Administration } from './bus/administration.ts'
export {
  Bus,
  type BusMiddleware,
  type CloseOptions,
  type GroupOptions,
  type ProvisionOptions,
  type ReceiveOptions,
} from './bus/bus.ts'
export { type ConnectOptions, connect } from './bus/connect.ts'
export { Group, type Position } from './bus/group.ts'
export type { ConsumerHealth, Health, HealthOptions } from './bus/health.ts'
export type { NativeClients } from './bus/native-clients.ts'
export type { NativeOptions, OpeningOptions } from './bus/opening.ts'
export { Consumer } from './consuming/consumer.ts'
export type {
  BatchOptions,
  ConsumerOptions,
  StartOptions,
  StopOptions,
} from './consuming/consumer-options.ts'
export type { StopReport } from './consuming/drain.ts'
export { MessageStream, type StreamOptions } from './consuming/message-stream.ts'
export { ReceivedMessage } from './consuming/received-message.ts'
export type { WorkerHealth } from './consuming/worker.ts'
export type { DeadLetter } from './dead-letters/dead-letter.ts'
export type { DeadLetterFilter } from './dead-letters/dead-letter-filter.ts'
export {
  type DeadLetterPageOptions,
  type DeadLetterSelection,
  DeadLetters,
  type DiscardReport,
  type ReplayReport,
} from './dead-letters/dead-letters.ts'
export type { ExportedDeadLetter } from './dead-letters/exported-dead-letter.ts'
export type { LetterChange } from './dead-letters/letter-edit.ts'
export type { ImportReport, RefusedLetter } from './dead-letters/letter-import.ts'
export type { DeadLetterPage } from './dead-letters/page-collector.ts'
export type { HandlerContext, HandlingMode } from './deliveries/handler-context.ts'
export type {
  Adapter,
  Capabilities,
  Clock,
  DriverHealth,
  Feature,
  GroupStats,
  PartitionStats,
  TopologyReport,
} from './driver.ts'
export type { AnyBusEvent, BusEvents, BusListeners, DeliveryInfo, ObserverOptions } from './events/events.ts'
export type { BatchContext, BatchInvocation, BatchMiddleware } from './handling/batch-collector.ts'
export type { BreakerState, CircuitBreakerOptions } from './handling/circuit-breaker.ts'
export type { HandlerConcurrency, HandlerOptions, HandlerPolicies } from './handling/handler-policies.ts'
export type { Handler } from './handling/handlers.ts'
export type { HandlerMiddleware } from './handling/middleware.ts'
export type { IncomingTrace, Propagation } from './handling/propagation.ts'
export {
  memoryRateLimitStore,
  type RateLimitOptions,
  type RateLimitStore,
  type RateLimitTake,
} from './handling/rate-limit.ts'
export {
  type IdempotencyMark,
  type IdempotencyState,
  type IdempotencyStore,
  memoryIdempotencyStore,
} from './idempotency/idempotency.ts'
export type { Backoff } from './lib/backoff.ts'
export type { Duration } from './lib/duration.ts'
export {
  ConfigurationError,
  type ErrorCode,
  type Fate,
  InvalidMessageError,
  type Issue,
  MessagingError,
  PermanentError,
  RequestError,
  type RequestFailure,
  SkipMessage,
} from './lib/errors.ts'
export {
  type ExponentialOptions,
  exponential,
  fixed,
  type RetryPolicy,
} from './lib/retry.ts'
export { RetryAfter } from './lib/retry-after.ts'
export { type MemoryNative, type MemoryOptions, memory, type RawMessage } from './memory/memory.ts'
export type { Codec } from './messages/codec.ts'
export {
  type DataOf,
  defineMessage,
  type MessageDefinition,
  type MessageOf,
  type MessageOptions,
  type ReplyOf,
  type RequestDefinition,
  type RequestMessageOptions,
} from './messages/definition.ts'
export type { Message, Metadata } from './messages/message.ts'
export type { Stage } from './messages/stage.ts'
export { defineTopic, type Topic, type TopicOptions } from './messages/topic.ts'
export type { TraceContext } from './messages/trace-context.ts'
export {
  type HealthProbeOptions,
  type HealthProbes,
  healthProbes,
  type PartHealth,
  type ProbeAnswer,
} from './operations/health-probes.ts'
export { type EventLevel, type LogEventsOptions, type Logger, logEvents } from './operations/log-events.ts'
export { type RunOptions, type RunReport, runUntilSignal } from './operations/run-until-signal.ts'
export type { RequestOptions } from './requesting/requests.ts'
export { BatchError } from './sending/batch-error.ts'
export { Producer } from './sending/producer.ts'
export type { SendContext, SendMiddleware } from './sending/send-middleware.ts'
export type { ProducerOptions, SendOptions } from './sending/send-options.ts'
export type { ProvisionMode } from './topology/provisioner.ts'
