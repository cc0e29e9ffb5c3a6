/**
 * What most drivers need, so that nobody has to write it again. All of it is optional: the contract is in
 * `@waybill/core/driver`. Adapter authors import this from `@waybill/core/driver-kit`.
 *
 * | for | use |
 * | --- | --- |
 * | options from URL and native options | `parseConnectionOptions`, `durationOption`, `tlsOption` |
 * | answers for each item of a batch | `done`, `failed`, `outcomesOf`, `firstFailure`, `withheld` |
 * | batches as the broker takes them | `inChunks`, `eachGroup` |
 * | waiting | `bounded`, `within`, `Change` |
 * | moments that processes agree on | `ServerClock` |
 * | calls that travel together | `Batcher` |
 * | retry policies, for packages with attempts of their own | `partialRetrySchema`, `resolveRetry`, `decideRetry` |
 * | middleware, for packages with handlers of their own | `compose` |
 * | ids | `newId` |
 * | delays | `planHop`, `planTier`, `planLevels`, `levelCount`, `levelMs` |
 * | names | `brokerName`, `digestOf` |
 * | attributes as headers | `mirroredNames` |
 * | figures | `addStats`, `sumOf` |
 * | the errors of the first five minutes | `refusedCredentials`, `unreachable`, `tlsFailed`, `missingRights`, `definedOtherwise` |
 */
export { type Bounds, bounded } from './driver-kit/bounded.ts'
export { Change } from './driver-kit/change.ts'
export { type ChunkLimits, inChunks } from './driver-kit/chunks.ts'
export {
  asFlag,
  asNumber,
  asText,
  type ConnectionOptions,
  parseConnectionOptions,
  type QueryParameter,
  type ReadParameter,
} from './driver-kit/connection-options.ts'
export {
  type Hop,
  type LevelPlan,
  type Levels,
  levelCount,
  levelMs,
  planHop,
  planLevels,
  planTier,
} from './driver-kit/delays.ts'
export { durationOption } from './driver-kit/duration-option.ts'
export { eachGroup } from './driver-kit/each-group.ts'
export { type Mirror, mirroredNames } from './driver-kit/mirror.ts'
export { brokerName, digestOf, type NameRules } from './driver-kit/names.ts'
export { done, type Failure, failed, firstFailure, outcomesOf, withheld } from './driver-kit/outcomes.ts'
export { ServerClock } from './driver-kit/server-clock.ts'
export { addStats, sumOf } from './driver-kit/stats.ts'
export {
  type Pem,
  type TlsOptionRules,
  type TlsOptions,
  type TlsSettings,
  tlsOption,
} from './driver-kit/tls-option.ts'
export {
  definedOtherwise,
  missingRights,
  refusedCredentials,
  tlsFailed,
  unreachable,
} from './driver-kit/trouble.ts'
export { Batcher, type BatcherOptions } from './lib/batcher.ts'
export { compose } from './lib/compose.ts'
export { Heap } from './lib/heap.ts'
export { newId } from './lib/new-id.ts'
export {
  decideRetry,
  type PartialRetry,
  partialRetrySchema,
  type ResolvedRetryPolicy,
  type RetryDecision,
  resolveRetry,
} from './lib/retry.ts'
export { within } from './lib/within.ts'
