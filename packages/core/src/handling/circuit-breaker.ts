import { z } from 'zod'
import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Clock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { MessagingError } from '../lib/errors.ts'
import { functionSchema, lazily } from '../lib/validation.ts'

export interface CircuitBreakerOptions {
  /** The share of calls within `window` that have to fail for it to open, above 0 to 1. Default: 0.5. */
  readonly failureRate?: number
  /** How many calls there have to be within `window`. Default: 20. */
  readonly minimumCalls?: number
  /** Default: 30 s. */
  readonly window?: Duration
  /** How long it stays open before it tries again. Default: 30 s. */
  readonly openFor?: Duration
  /** How many calls have to succeed for it to close; so many are tried at once. Default: 1. */
  readonly probes?: number
  /**
   * Whether an error says that what the handler depends on is down. Default: all but `PermanentError`, `RetryAfter` and
   * `SkipMessage`.
   */
  readonly isFailure?: (error: unknown) => boolean
}

export type BreakerState = 'closed' | 'open' | 'half-open'

const milliseconds = (initial: Duration) => someMillisecondsSchema().prefault(initial)

export const circuitBreakerSchema = lazily(() =>
  z.strictObject({
    failureRate: z.number().gt(0).max(1).default(0.5),
    minimumCalls: z.int().min(1).default(20),
    window: milliseconds('30s'),
    openFor: milliseconds('30s'),
    probes: z.int().min(1).default(1),
    isFailure: functionSchema().optional(),
  }),
)

export type ParsedCircuitBreaker = z.output<ReturnType<typeof circuitBreakerSchema>>

const noFailures: ReadonlySet<unknown> = new Set(['permanent', 'retry-after', 'skip'])

// A probe usually ends soon, and is heard of then. This is for one that hangs.
const probeCheckMs = 1000

/** The window moves by tenths. */
const buckets = 10

interface Bucket {
  readonly since: number
  calls: number
  failures: number
}

/** Stops the calls of a handler while what it depends on is down, and tries from time to time whether it is up again. */
export class CircuitBreaker {
  readonly #options: ParsedCircuitBreaker
  readonly #clock: Clock
  readonly #onChange: (state: BreakerState, error: Error | undefined) => void
  #state: BreakerState = 'closed'
  #buckets: Bucket[] = []
  #until = 0
  #probed = 0
  /** Since when each probe has been running. */
  readonly #probing = new Map<DeliveryInHand, number>()
  #changed = Promise.withResolvers<void>()

  constructor(
    options: ParsedCircuitBreaker,
    clock: Clock,
    onChange: (state: BreakerState, error: Error | undefined) => void,
  ) {
    this.#options = options
    this.#clock = clock
    this.#onChange = onChange
  }

  get state(): BreakerState {
    return this.#state
  }

  /** Resolves when the state is another one, or a probe has ended. */
  get changed(): Promise<void> {
    return this.#changed.promise
  }

  /** 0 when the call may start; else after how many milliseconds to ask again at the latest. */
  enter(delivery: DeliveryInHand): number {
    if (this.#state === 'closed' || this.#probing.has(delivery)) return 0
    const now = this.#clock.monotonic()
    if (this.#state === 'open') {
      if (now < this.#until) return this.#until - now
      this.#probed = 0
      this.#become('half-open', undefined)
    }
    const { probes, openFor } = this.#options
    // A probe that hangs does not keep it half open for ever.
    for (const [probe, since] of this.#probing) if (now - since >= openFor) this.#probing.delete(probe)
    if (this.#probing.size >= probes - this.#probed) return Math.min(openFor, probeCheckMs)
    this.#probing.set(delivery, now)
    return 0
  }

  /** The call has ended without telling anything about what the handler depends on, or did not take place. */
  left(delivery: DeliveryInHand): void {
    if (this.#probing.delete(delivery)) this.#wake()
  }

  succeeded(delivery: DeliveryInHand): void {
    if (this.#state === 'closed') this.#bucket().calls += 1
    if (!this.#probing.delete(delivery)) return
    this.#probed += 1
    if (this.#state === 'half-open' && this.#probed >= this.#options.probes) {
      this.#buckets = []
      this.#become('closed', undefined)
    } else this.#wake()
  }

  /** True when the failure is the dependency's and the circuit is open now: then it is no attempt of the message. */
  failed(delivery: DeliveryInHand, error: Error): boolean {
    if (!this.#isFailure(error)) {
      this.left(delivery)
      return false
    }
    const wasProbe = this.#probing.delete(delivery)
    if (this.#state === 'half-open') {
      if (wasProbe) this.#open(error)
      return true
    }
    if (this.#state === 'open') return true
    const bucket = this.#bucket()
    bucket.calls += 1
    bucket.failures += 1
    const { minimumCalls, failureRate } = this.#options
    const { calls, failures } = this.#sums()
    if (calls < minimumCalls || failures / calls < failureRate) return false
    this.#open(error)
    return true
  }

  /** How long a message waits that failed because of it. */
  get retryMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#until - this.#clock.monotonic()) : this.#options.openFor
  }

  #isFailure(error: unknown): boolean {
    const { isFailure } = this.#options
    if (MessagingError.is(error) && noFailures.has(error.code)) return false
    try {
      return isFailure === undefined || Boolean(Reflect.apply(isFailure, undefined, [error]))
    } catch {
      return true
    }
  }

  /** The one that counts now. Those outside of the window are forgotten. */
  #bucket(): Bucket {
    const now = this.#clock.monotonic()
    const { window } = this.#options
    const last = this.#buckets.at(-1)
    if (last !== undefined && now - last.since < window / buckets) return last
    const next = { since: now, calls: 0, failures: 0 }
    this.#buckets = [...this.#buckets.filter(({ since }) => now - since < window), next]
    return next
  }

  #sums(): { readonly calls: number; readonly failures: number } {
    return {
      calls: this.#buckets.reduce((sum, { calls }) => sum + calls, 0),
      failures: this.#buckets.reduce((sum, { failures }) => sum + failures, 0),
    }
  }

  #open(error: Error): void {
    this.#until = this.#clock.monotonic() + this.#options.openFor
    this.#probing.clear()
    this.#become('open', error)
  }

  #become(state: BreakerState, error: Error | undefined): void {
    this.#state = state
    this.#onChange(state, error)
    this.#wake()
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }
}
