import { z } from 'zod'
import { type Duration, durationHint, parseDuration, toMilliseconds } from './duration.ts'
import { MessagingError, type RetryAfter } from './errors.ts'

/** Milliseconds to wait after the given attempt (1 for the first) has failed. */
export type Backoff = (attempt: number) => number

export interface RetryPolicy {
  /** Handler calls a message gets before it goes to the dead letters. Default: 5. */
  readonly attempts?: number
  /** Default: `exponential()`. */
  readonly backoff?: Backoff
  /** False sends the message to the dead letters at once. Default: everything but `PermanentError` is retryable. */
  readonly isRetryable?: (error: unknown) => boolean
}

export interface ExponentialOptions {
  /** After the first attempt. Default: 1 s. */
  readonly initial?: Duration
  /** Never longer than this. Default: 5 min. */
  readonly max?: Duration
  /** Each is this many times the one before. Default: 2. */
  readonly factor?: number
  /** The share of the delay that is left to chance, 0 to 1, so that what failed together does not come back together. Default: 0.1. */
  readonly jitter?: number
}

/** Always the same wait. */
export function fixed(delay: Duration): Backoff {
  const delayMs = toMilliseconds(delay, 'fixed')
  return () => delayMs
}

/** `initial`, then `factor` times longer after each attempt, up to `max`. */
export function exponential(options: ExponentialOptions = {}, random: () => number = Math.random): Backoff {
  const initial = toMilliseconds(options.initial ?? '1s', 'initial')
  const max = toMilliseconds(options.max ?? '5m', 'max')
  const { factor = 2, jitter = 0.1 } = options
  return (attempt) => {
    const delay = Math.min(max, initial * factor ** (attempt - 1))
    return Math.round(delay * (1 - jitter * random()))
  }
}

export const durationSchema = z.custom<Duration>((value) => parseDuration(value) !== undefined, durationHint)

export const retrySchema = z
  .strictObject({
    attempts: z.int().min(1).default(5),
    backoff: z
      .custom<Backoff>((value) => typeof value === 'function', 'expected a function such as exponential()')
      .optional(),
    isRetryable: z
      .custom<(error: unknown) => boolean>(
        (value) => typeof value === 'function',
        'expected a function of the error',
      )
      .optional(),
  })
  .prefault({})
  .transform(({ attempts, backoff = exponential(), isRetryable }) => ({ attempts, backoff, isRetryable }))

export type ResolvedRetryPolicy = z.output<typeof retrySchema>

export type RetryDecision =
  | { readonly retry: true; readonly delayMs: number }
  | { readonly retry: false; readonly reason: 'permanent' | 'not-retryable' | 'attempts-exhausted' }

/** What a failed attempt leads to. */
export function decideRetry(policy: ResolvedRetryPolicy, attempt: number, error: unknown): RetryDecision {
  if (MessagingError.is(error) && error.code === 'permanent') return { retry: false, reason: 'permanent' }
  if (policy.isRetryable?.(error) === false) return { retry: false, reason: 'not-retryable' }
  if (attempt >= policy.attempts) return { retry: false, reason: 'attempts-exhausted' }
  const asked = isRetryAfter(error) ? parseDuration(error.delay) : undefined
  return { retry: true, delayMs: asked ?? Math.max(0, policy.backoff(attempt)) }
}

function isRetryAfter(error: unknown): error is RetryAfter {
  return MessagingError.is(error) && error.code === 'retry-after' && 'delay' in error
}
