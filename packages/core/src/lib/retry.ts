import { z } from 'zod'
import { type Backoff, type Growth, growing } from './backoff.ts'
import { type Duration, parseDuration, toMilliseconds } from './duration.ts'
import { millisecondsSchema } from './duration-schema.ts'
import { MessagingError } from './errors.ts'
import type { RetryAfter } from './retry-after.ts'
import { lazily, parseOptions } from './validation.ts'

export interface RetryPolicy {
  /** Handler calls a message gets before it goes to the dead letters. Default: 5. */
  readonly attempts?: number
  /** Default: `exponential()`. */
  readonly backoff?: Backoff
  /** False sends the message to the dead letters at once. Default: everything but `PermanentError` is retryable. */
  readonly isRetryable?: (error: unknown) => boolean
}

export interface ExponentialOptions {
  /** The wait after the first attempt. Default: 1 s. */
  readonly initial?: Duration
  /** The longest wait. Default: 5 min. */
  readonly max?: Duration
  /** Each is this many times the one before. Default: 2. */
  readonly factor?: number
  /** The share of the delay that is left to chance, 0 to 1, so that what failed together does not come back together. Default: 0.1. */
  readonly jitter?: number
}

/**
 * A backoff that is always the same.
 *
 * ```ts
 * bus.consumer('billing', { retry: { attempts: 10, backoff: fixed('10s') } })
 * ```
 *
 * @throws {ConfigurationError} when the delay is not a duration.
 */
export function fixed(delay: Duration): Backoff {
  const delayMs = toMilliseconds(delay, 'fixed')
  return () => delayMs
}

const defaultGrowth: Growth = { initial: 1000, max: 300_000, factor: 2, jitter: 0.1 }

const exponentialSchema = lazily(() =>
  z.strictObject({
    initial: millisecondsSchema().prefault(defaultGrowth.initial),
    max: millisecondsSchema().prefault(defaultGrowth.max),
    factor: z.number().min(1).default(defaultGrowth.factor),
    jitter: z.number().min(0).max(1).default(defaultGrowth.jitter),
  }),
)

/**
 * A backoff that grows: `initial` (1 s), then `factor` (2) times longer after each attempt, up to `max` (5 min), less up to
 * `jitter` (0.1) of it at random.
 *
 * ```ts
 * bus.consumer('billing', { retry: { attempts: 8, backoff: exponential({ initial: '500ms', max: '10m' }) } })
 * ```
 *
 * @throws {ConfigurationError} listing every problem.
 */
export function exponential(options: ExponentialOptions = {}, random: () => number = Math.random): Backoff {
  return growing(parseOptions(exponentialSchema(), options, 'exponential backoff'), random)
}

export interface ResolvedRetryPolicy {
  readonly attempts: number
  readonly backoff: Backoff
  readonly isRetryable: ((error: unknown) => boolean) | undefined
}

export const defaultRetry: ResolvedRetryPolicy = {
  attempts: 5,
  backoff: growing(defaultGrowth),
  isRetryable: undefined,
}

/** A policy as it was given, without defaults. */
export const partialRetrySchema = lazily(() =>
  z.strictObject({
    attempts: z.int().min(1).optional(),
    backoff: z
      .custom<Backoff>((value) => typeof value === 'function', 'expected a function such as exponential()')
      .optional(),
    isRetryable: z
      .custom<(error: unknown) => boolean>(
        (value) => typeof value === 'function',
        'expected a function of the error',
      )
      .optional(),
  }),
)

export type PartialRetry = z.output<ReturnType<typeof partialRetrySchema>>

/** Each field from the first policy that has it. */
export function resolveRetry(...policies: readonly (PartialRetry | undefined)[]): ResolvedRetryPolicy {
  const first = <Name extends keyof PartialRetry>(name: Name) =>
    policies.find((policy) => policy?.[name] !== undefined)?.[name]
  return {
    attempts: first('attempts') ?? defaultRetry.attempts,
    backoff: first('backoff') ?? defaultRetry.backoff,
    isRetryable: first('isRetryable'),
  }
}

export type RetryDecision =
  | { readonly retry: true; readonly delayMs: number }
  | { readonly retry: false; readonly reason: 'permanent' | 'not-retryable' | 'attempts-exhausted' }

/** What a failed attempt leads to. */
export function decideRetry(policy: ResolvedRetryPolicy, attempt: number, error: unknown): RetryDecision {
  if (MessagingError.is(error) && error.code === 'permanent') return { retry: false, reason: 'permanent' }
  if (policy.isRetryable !== undefined && !atOnce(policy.isRetryable(error), 'isRetryable'))
    return { retry: false, reason: 'not-retryable' }
  if (attempt >= policy.attempts) return { retry: false, reason: 'attempts-exhausted' }
  const asked = isRetryAfter(error) ? parseDuration(error.delay) : undefined
  return { retry: true, delayMs: asked ?? wait(policy.backoff, attempt) }
}

function wait(backoff: Backoff, attempt: number): number {
  const delayMs = atOnce(backoff(attempt), 'backoff')
  return Number.isFinite(delayMs) ? Math.max(0, delayMs) : defaultRetry.backoff(attempt)
}

// A promise would count as true, or as not a number, and nobody would hear of its rejection.
function atOnce<Answer>(answer: Answer, name: string): Answer {
  if (!(answer instanceof Promise)) return answer
  answer.catch(() => {})
  throw new Error(`retry.${name} returned a promise; it must return its answer synchronously`)
}

function isRetryAfter(error: unknown): error is RetryAfter {
  return MessagingError.is(error) && error.code === 'retry-after' && 'delay' in error
}
