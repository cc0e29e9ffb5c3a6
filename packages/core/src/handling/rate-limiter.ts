import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import type { RateLimitStore } from './rate-limit.ts'
import { RateLimitLine } from './rate-limit-line.ts'
import { answerOf } from './store-probe.ts'

export interface RateLimiterSettings {
  readonly clock: Clock
  readonly emit: Emit
  /** For the store and for events. */
  readonly name: string
  readonly store: RateLimitStore
  /** The store is of this process and answers at once. */
  readonly isLocal: boolean
  readonly max: number
  readonly perMs: number
}

// A store that has not answered by then is taken for one that is away.
const answerWithinMs = 10_000

/** Asks a store how many may go, and lines up what may not yet: none passes while the store is away. */
export class RateLimiter {
  readonly #settings: RateLimiterSettings
  readonly #lines = new Map<string, RateLimitLine>()
  #failures = 0
  /** When a store that failed is asked again. */
  #awayUntil = Number.NEGATIVE_INFINITY
  #error: MessagingError | undefined

  constructor(settings: RateLimiterSettings) {
    this.#settings = settings
  }

  /** Why nothing passes, though the limit might allow it. */
  get error(): MessagingError | undefined {
    return this.#error
  }

  /** The answer is there at once. */
  get isLocal(): boolean {
    return this.#settings.isLocal
  }

  /** How long one takes at the full rate. */
  get spacingMs(): number {
    return this.#settings.perMs / this.#settings.max
  }

  /** Somebody waits already, so that who comes now waits too. */
  hasLine(key: string): boolean {
    return this.#lines.has(key)
  }

  /** How long one of the key has to wait behind those that wait already, when the first may ask again after `waitMs`. */
  expectedMs(key: string, waitMs: number): number {
    return Math.max(Math.min(waitMs, this.#settings.perMs), this.#lines.get(key)?.expectedMs ?? 0)
  }

  /** 0 when one was taken; else in how many milliseconds to ask again. Never rejects. */
  take(key: string): number | Promise<number> {
    const { store, name, max, perMs, clock } = this.#settings
    const awayMs = this.#awayUntil - clock.monotonic()
    if (awayMs > 0) return awayMs
    const ask = () => store.take({ name, key, max, perMs })
    if (!this.isLocal) return this.#answer(answerOf(clock, answerWithinMs, async () => ask()))
    return this.#checked(ask())
  }

  /** Resolves when it is the caller's turn to ask again, or the signal fires. */
  turn(key: string, waitMs: number, over: AbortSignal): Promise<void> {
    const { clock, perMs } = this.#settings
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = new RateLimitLine(clock, this.spacingMs, () => this.#lines.delete(key))
      this.#lines.set(key, line)
    }
    return line.wait(Math.min(waitMs, perMs), over)
  }

  async #answer(asked: Promise<unknown>): Promise<number> {
    const { clock, emit, name } = this.#settings
    try {
      const waitMs = this.#checked(await asked)
      this.#error = undefined
      this.#failures = 0
      return waitMs
    } catch (thrown) {
      const wasKnown = this.#awayUntil > clock.monotonic()
      if (!wasKnown) {
        this.#failures += 1
        this.#awayUntil = clock.monotonic() + reconnectBackoff(this.#failures)
        this.#error = toMessagingError(thrown, 'The rate limit store does not answer', { retryable: true })
        const what = `rate limit store of ${name}: nothing is handled until it answers`
        emit('failure', { what, error: this.#error })
      }
      return Math.max(1, this.#awayUntil - clock.monotonic())
    }
  }

  #checked(answer: unknown): number {
    if (typeof answer === 'number' && !Number.isNaN(answer)) return Math.max(0, answer)
    const what = `The rate limit store answered ${String(answer)} instead of a number of milliseconds`
    throw new MessagingError('failed', what)
  }
}
