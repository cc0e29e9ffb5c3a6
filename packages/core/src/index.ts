export type { BatchContext } from './batch-collector.ts'
export { BatchError } from './batch-error.ts'
export type {
  Bus,
  BusMiddleware,
  CloseOptions,
  Group,
  Health,
  Position,
  ReceiveOptions,
} from './bus.ts'
export { type ConnectOptions, connect, type NativeOptions } from './connect.ts'
export type { Consumer } from './consumer.ts'
export type { BatchOptions, ConsumerOptions, StartOptions, StopOptions } from './consumer-options.ts'
export type { DeadLetter, DeadLetters } from './dead-letter.ts'
export type { HandlerContext } from './delivery.ts'
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
export type { Duration } from './duration.ts'
export {
  ConfigurationError,
  type ErrorCode,
  type Fate,
  InvalidMessageError,
  type Issue,
  MessagingError,
  PermanentError,
  RetryAfter,
} from './errors.ts'
export type { BusEvents, DeliveryInfo } from './events.ts'
export type { Handler } from './handlers.ts'
export {
  type IdempotencyMark,
  type IdempotencyState,
  type IdempotencyStore,
  memoryIdempotencyStore,
} from './idempotency.ts'
export { type MemoryNative, type MemoryOptions, memory, type RawMessage } from './memory.ts'
export {
  defineMessage,
  type Message,
  type MessageDefinition,
  type MessageOptions,
  type Metadata,
} from './message.ts'
export type { HandlerMiddleware } from './processing.ts'
export type { Producer, SendContext, SendMiddleware } from './producer.ts'
export type { ProvisionMode } from './provisioner.ts'
export type { ReceivedMessage } from './received-message.ts'
export { type Backoff, type ExponentialOptions, exponential, fixed, type RetryPolicy } from './retry.ts'
export type { ProducerOptions, SendOptions } from './send-options.ts'
export { defineTopic, type Topic, type TopicOptions } from './topic.ts'
export type { StopReport, WorkerHealth } from './worker.ts'
