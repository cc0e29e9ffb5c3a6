import { z } from 'zod'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { type PartialRetry, partialRetrySchema, type RetryPolicy } from '../lib/retry.ts'
import { functionSchema, lazily } from '../lib/validation.ts'
import type { Message } from '../messages/message.ts'
import {
  type CircuitBreakerOptions,
  circuitBreakerSchema,
  type ParsedCircuitBreaker,
} from './circuit-breaker.ts'
import { type ParsedRateLimit, type RateLimitOptions, rateLimitSchema } from './rate-limit.ts'

/** How many calls of a handler run at once. */
export interface HandlerConcurrency<Handled extends Message = Message> {
  /** In all, within the consumer's. Default: as many as the consumer's. */
  readonly total?: number
  /** Of messages with the same key, so that one tenant has one at a time. Default: no limit. */
  readonly perKey?: number
  /**
   * The key, from the message as it travelled: its data is neither upcast nor transformed by its schema yet. Default: the
   * ordering key. Messages without a key share one.
   */
  by?(message: Handled): string | undefined
}

/** What of a handler limits its calls; the consumer's are the defaults of each of its handlers. */
export interface HandlerPolicies<Handled extends Message = Message> {
  /** Fields left out come from the definition's, then from the consumer's. */
  readonly retry?: RetryPolicy
  /**
   * How many calls start in a time. What is over the limit holds no slot and counts no attempt; it waits here, or at the broker
   * where the wait is long. Default: no limit.
   */
  readonly rateLimit?: RateLimitOptions<Handled>
  /**
   * Stops the calls while too many of them fail, without counting attempts, so that nothing goes to the dead letters because
   * something is down. Default: none.
   */
  readonly circuitBreaker?: CircuitBreakerOptions
}

export interface HandlerOptions<Handled extends Message = Message> extends HandlerPolicies<Handled> {
  /** How long an attempt may take. Default: the consumer's `timeout`. */
  readonly timeout?: Duration
  /** Within the consumer's `concurrency`. Default: no limit of its own. */
  readonly concurrency?: number | HandlerConcurrency<Handled>
}

const most = 10_000

export const timeoutSchema = () => someMillisecondsSchema().optional()

export const handlerConcurrencySchema = lazily(() =>
  z.union(
    [
      z
        .int()
        .min(1)
        .max(most)
        .transform((total) => ({ total, perKey: undefined, by: undefined })),
      z
        .strictObject({
          total: z.int().min(1).max(most).optional(),
          perKey: z.int().min(1).max(most).optional(),
          by: functionSchema().optional(),
        })
        .refine(({ by, perKey }) => by === undefined || perKey !== undefined, {
          path: ['by'],
          message: 'means nothing without perKey',
        })
        .transform(({ total, perKey, by }) => ({ total, perKey, by })),
    ],
    'expected a whole number from 1 on, or { total, perKey, by }',
  ),
)

/** The fields of options that set policies. */
export const policyFields = lazily(() => ({
  retry: partialRetrySchema().optional(),
  rateLimit: rateLimitSchema().optional(),
  circuitBreaker: circuitBreakerSchema().optional(),
}))

export const handlerSchema = lazily(() =>
  z.strictObject({
    ...policyFields(),
    timeout: timeoutSchema(),
    concurrency: handlerConcurrencySchema().optional(),
  }),
)

export interface ParsedPolicies {
  readonly retry?: PartialRetry | undefined
  readonly rateLimit?: ParsedRateLimit | undefined
  readonly circuitBreaker?: ParsedCircuitBreaker | undefined
  readonly concurrency?: z.output<ReturnType<typeof handlerConcurrencySchema>> | undefined
}
