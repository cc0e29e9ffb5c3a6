import { z } from 'zod'
import {
  type HandlerConcurrency,
  type HandlerOptions,
  type HandlerPolicies,
  handlerConcurrencySchema,
  policyFields,
  timeoutSchema,
} from '../handling/handler-policies.ts'
import type { IdempotencyStore } from '../idempotency/idempotency.ts'
import type { Duration } from '../lib/duration.ts'
import { millisecondsSchema } from '../lib/duration-schema.ts'
import { partialRetrySchema } from '../lib/retry.ts'
import { hasFunctions, lazily } from '../lib/validation.ts'
import type { Message } from '../messages/message.ts'
import { nameSchema } from '../messages/topic.ts'

export interface ConsumerOptions extends HandlerPolicies {
  /**
   * How many handlers run at once, on each topic. A batch counts as one. `perKey` limits each handler's calls of one key as well.
   * Default: 10.
   */
  readonly concurrency?: number | HandlerConcurrency
  /**
   * How many unsettled deliveries this consumer holds at most, on each topic. Default: twice what the handlers take at
   * once. On ordered topics 256 more, for what waits behind a key that is being retried. On other topics it grows to up to
   * ten times as many (1,000 at most) while that many are handled in less than 200 ms.
   */
  readonly prefetch?: number
  /** How long the broker leases a delivery to us at a time, where it has leases. Renewed while the handler runs. Default: 30 s, or the longest the broker has. */
  readonly lease?: Duration
  /** How long a lease is renewed at most: a handler that runs longer loses its delivery. Default: 1 h. */
  readonly maxLease?: Duration
  /**
   * How long an attempt may take, middleware included. After that its signal fires, it has failed, and the retry policy
   * decides. A handler that ignores its signal keeps running, but its outcome is ignored. Default: no limit but `maxLease`.
   */
  readonly timeout?: Duration
  /** When all handlers have been running this long, the consumer is stuck: `health()` is `degraded`. Default: 5 min. */
  readonly stuckAfter?: Duration
  /**
   * How many consumers may die with a message in hand before it goes to the dead letters. Releases, pauses, drains and
   * deploys do not count. Neighbours of such a message are counted too on some brokers, so be generous. Default: 20.
   */
  readonly maxDeliveries?: number
  /**
   * What happens to a message whose type the group has asked for but no consumer of it in this process handles. `retry`: it
   * goes back for other processes, with a delay, until `unhandledAfter`, and then to the dead letters as `unhandled`.
   * `dead-letter`: it goes there at once. `skip`: it is acked. A type that nobody in the group has ever asked for is
   * always skipped. Default: `retry`.
   */
  readonly unhandled?: 'retry' | 'dead-letter' | 'skip'
  /** How long other processes have to take a message that nobody here handles. Default: 10 min. */
  readonly unhandledAfter?: Duration
  /**
   * Gives each (group, topic, type, source, id) one effect. No handler starts while the store cannot be reached. `window`:
   * how long a mark is remembered (24 h); `lease`: how long a running handler owns it, renewed (1 min).
   */
  readonly idempotency?:
    | IdempotencyStore
    | { readonly store: IdempotencyStore; readonly window?: Duration; readonly lease?: Duration }
  /** Where the group starts if it does not exist yet. `earliest` needs the feature `replay`. Default: `latest`. */
  readonly from?: 'earliest' | 'latest'
  /**
   * Every consumer gets each message sent while it runs, instead of sharing messages with the group: for caches and
   * notices. Nothing is kept for a consumer that is not running, and what it cannot handle within its retries is dropped.
   * Cannot be combined with `idempotency`. Default: false.
   */
  readonly broadcast?: boolean
  /**
   * Accepts a group that its topics do not declare, even though they declare others. The broker keeps nothing for such a group
   * before its first consumer starts. Broadcasts need no declared group. Default: false.
   */
  readonly allowUndeclaredGroup?: boolean
}

export interface BatchOptions<Handled extends Message = Message>
  extends Pick<HandlerOptions<Handled>, 'timeout' | 'retry' | 'rateLimit' | 'circuitBreaker'> {
  /** The most messages in a batch. Default: 100. */
  readonly size?: number
  /** How long the first message of a batch waits for more. Default: 1 s. */
  readonly wait?: Duration
}

export interface StartOptions {
  /** How long to keep trying while the broker cannot be reached. Default: 30 s. */
  readonly timeout?: Duration
  readonly signal?: AbortSignal
}

export interface StopOptions {
  /** How long running handlers get. Default: 30 s. */
  readonly timeout?: Duration
}

const isStore = (value: unknown): value is IdempotencyStore =>
  hasFunctions(value, ['begin', 'extend', 'complete', 'abandon'])

const storeSchema = lazily(() =>
  z.custom<IdempotencyStore>(isStore, 'expected an idempotency store, such as memoryIdempotencyStore()'),
)
const milliseconds = (initial: Duration) => millisecondsSchema().prefault(initial)

// It is renewed at a third of it.
const leaseSchema = (initial: Duration) =>
  milliseconds(initial).refine((value) => value >= 100, 'expected at least 100ms')

export const maxConcurrency = 10_000

export const defaultConcurrency = 10

/** What consumers and pull loops have in common. */
const commonFields = lazily(() => ({
  group: nameSchema(),
  prefetch: z.int().min(1).max(100_000).optional(),
  lease: leaseSchema('30s'),
  maxLease: milliseconds('1h'),
  retry: partialRetrySchema().optional(),
  maxDeliveries: z.int().min(1).default(20),
  unhandled: z.enum(['retry', 'dead-letter', 'skip']).default('retry'),
  unhandledAfter: milliseconds('10m'),
  from: z.enum(['earliest', 'latest']).default('latest'),
  allowUndeclaredGroup: z.boolean().default(false),
}))

export const receiveSchema = lazily(() =>
  z.strictObject({ ...commonFields(), signal: z.instanceof(AbortSignal).optional() }),
)

export const consumerSchema = lazily(() =>
  z
    .strictObject({
      ...commonFields(),
      timeout: timeoutSchema(),
      stuckAfter: milliseconds('5m').refine((value) => value > 0, 'expected more than 0'),
      ...policyFields(),
      concurrency: handlerConcurrencySchema().default({
        total: defaultConcurrency,
        perKey: undefined,
        by: undefined,
      }),
      idempotency: z
        .preprocess(
          (value) => (isStore(value) ? { store: value } : value),
          z.strictObject({ store: storeSchema(), window: milliseconds('24h'), lease: leaseSchema('1m') }),
        )
        .optional(),
      broadcast: z.boolean().default(false),
    })
    .refine(({ broadcast, idempotency }) => !broadcast || idempotency === undefined, {
      path: ['idempotency'],
      message:
        'a mark is shared by the group, so only one instance of a broadcast would handle a message; leave it out',
    }),
)

export const batchSchema = lazily(() =>
  z.strictObject({
    size: z.int().min(1).max(10_000).default(100),
    wait: milliseconds('1s'),
    timeout: timeoutSchema(),
    ...policyFields(),
  }),
)
export const startSchema = lazily(() =>
  z.strictObject({
    timeout: milliseconds('30s'),
    signal: z.instanceof(AbortSignal).optional(),
  }),
)
export const stopSchema = lazily(() => z.strictObject({ timeout: milliseconds('30s') }))
