import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Emit } from '../events/events.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import type { Message } from '../messages/message.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { KeySlots } from './key-slots.ts'
import type { RateLimitStore } from './rate-limit.ts'

/** How a delivery came out at the gate. */
export type Passage =
  /** It may be handled; `leave` is owed. */
  | { readonly kind: 'passed' }
  /** It is no longer ours, or on its way back. */
  | { readonly kind: 'ended' }
  /** It should come again after this time, so that others have its room. */
  | { readonly kind: 'postponed'; readonly delayMs: number }
  /** Its key cannot be told. */
  | { readonly kind: 'failed'; readonly error: unknown }

export type KeyOf = (message: Message) => string | undefined

export interface GateSettings {
  readonly clock: Clock
  readonly emit: Emit
  /** For events and errors, and for the names of rate limits. */
  readonly name: string
  readonly slots: { readonly places: KeySlots; readonly by: KeyOf | undefined } | undefined
  readonly limit:
    | {
        readonly store: RateLimitStore
        readonly max: number
        readonly perMs: number
        readonly by: KeyOf | undefined
      }
    | undefined
  readonly breaker: CircuitBreaker | undefined
  /** How many may wait here at once; the rest is postponed. Infinity: nothing is, because it cannot be or helps nobody. */
  readonly mostWaiting: number
}

// What waits longer than this is kept at the broker where that can be.
const longestWaitMs = 5000

// How soon what found no room to wait comes again at the earliest, and at the latest.
const shortestDelayMs = 1000
const longestDelayMs = 60_000

const passed: Passage = { kind: 'passed' }
const ended: Passage = { kind: 'ended' }

/**
 * What a delivery has to pass before it takes a slot: its handler's circuit breaker, its concurrency and its rate limit. What
 * waits here holds no slot and counts no attempt.
 */
export class Gate {
  readonly breaker: CircuitBreaker | undefined
  readonly #settings: GateSettings
  /** The key under which each delivery holds its place. */
  readonly #places = new Map<DeliveryInHand, string>()
  /** For each key of the rate limit, the last of its line. */
  readonly #lines = new Map<string, Promise<unknown>>()
  #waiting = 0
  #error: MessagingError | undefined

  constructor(settings: GateSettings) {
    this.#settings = settings
    this.breaker = settings.breaker
  }

  /** Why nothing passes at the moment, though it should. */
  get error(): MessagingError | undefined {
    return this.#error
  }

  /** Without a promise when nothing is in the way. */
  pass(delivery: DeliveryInHand): Passage | Promise<Passage> {
    const { slots, limit, mostWaiting } = this.#settings
    let key = ''
    let limitKey = ''
    try {
      key = keyFor(slots?.by, delivery) ?? ''
      limitKey = limit?.by === undefined ? '' : (keyFor(limit.by, delivery) ?? '')
    } catch (error) {
      return { kind: 'failed', error }
    }
    const isFree =
      this.#waiting === 0 && limit === undefined && (this.breaker?.state ?? 'closed') === 'closed'
    if (isFree && slots === undefined) return passed
    if (isFree && slots?.places.tryAcquire(key)) {
      this.#places.set(delivery, key)
      return passed
    }
    if (this.#waiting >= mostWaiting) return { kind: 'postponed', delayMs: this.#nextDelay() }
    return this.#wait(delivery, key, limitKey)
  }

  /** The delivery has been handled, or will not be. */
  leave(delivery: DeliveryInHand): void {
    this.breaker?.left(delivery)
    const key = this.#places.get(delivery)
    if (key === undefined) return
    this.#places.delete(delivery)
    this.#settings.slots?.places.release(key)
  }

  async #wait(delivery: DeliveryInHand, key: string, limitKey: string): Promise<Passage> {
    this.#waiting += 1
    const over = new AbortController()
    delivery.onEnd(() => over.abort())
    try {
      const passage = await this.#goThrough(delivery, key, limitKey, over.signal)
      if (passage.kind !== 'passed') this.leave(delivery)
      return passage
    } finally {
      this.#waiting -= 1
      if (!delivery.ended) delivery.onEnd(undefined)
    }
  }

  async #goThrough(
    delivery: DeliveryInHand,
    key: string,
    limitKey: string,
    over: AbortSignal,
  ): Promise<Passage> {
    const early = await this.#passBreaker(delivery, over)
    if (early !== undefined) return early
    if (!(await this.#takePlace(delivery, key, over))) return ended
    const limited = await this.#passLimit(limitKey, over)
    if (limited !== undefined) return limited
    // It may have opened in the meantime.
    return (await this.#passBreaker(delivery, over)) ?? passed
  }

  /** Undefined when it is passed. */
  async #passBreaker(delivery: DeliveryInHand, over: AbortSignal): Promise<Passage | undefined> {
    const { breaker } = this
    if (breaker === undefined) return undefined
    for (let waitMs = breaker.enter(delivery); waitMs > 0; waitMs = breaker.enter(delivery)) {
      if (this.#isTooLong(waitMs)) return { kind: 'postponed', delayMs: waitMs }
      await this.#pause(waitMs, over, breaker.changed)
      if (over.aborted) return ended
    }
    return undefined
  }

  async #takePlace(delivery: DeliveryInHand, key: string, over: AbortSignal): Promise<boolean> {
    const { slots } = this.#settings
    if (slots === undefined) return true
    if (!slots.places.tryAcquire(key)) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const giveUp = slots.places.wait(key, () => resolve(true))
      const onEnd = () => {
        giveUp()
        resolve(false)
      }
      over.addEventListener('abort', onEnd, { once: true })
      const wasGranted = await promise
      over.removeEventListener('abort', onEnd)
      if (!wasGranted) return false
    }
    this.#places.set(delivery, key)
    return !over.aborted
  }

  /** In line, key by key, so that the store is asked for the first only. Undefined when it is passed. */
  async #passLimit(key: string, over: AbortSignal): Promise<Passage | undefined> {
    if (this.#settings.limit === undefined) return undefined
    const before = this.#lines.get(key)
    const turn = Promise.resolve(before).then(() => this.#askLimit(key, over))
    this.#lines.set(key, turn)
    const passage = await turn
    if (this.#lines.get(key) === turn) this.#lines.delete(key)
    return passage
  }

  async #askLimit(key: string, over: AbortSignal): Promise<Passage | undefined> {
    const { limit, name, clock, emit } = this.#settings
    if (limit === undefined) return undefined
    const take = { name: key === '' ? name : `${name} ${key}`, max: limit.max, perMs: limit.perMs }
    for (let failures = 0; !over.aborted; ) {
      let waitMs: number
      try {
        waitMs = await limit.store.take(take)
        this.#error = undefined
        failures = 0
      } catch (thrown) {
        failures += 1
        this.#error = toMessagingError(thrown, 'The rate limit store does not answer', { retryable: true })
        emit('failure', {
          what: `rate limit store of ${name}: nothing is handled until it answers`,
          error: this.#error,
        })
        waitMs = reconnectBackoff(failures)
        await sleep(clock, waitMs, over)
        continue
      }
      // Some databases answer odd numbers.
      if (!(waitMs > 0)) return undefined
      if (this.#isTooLong(waitMs)) return { kind: 'postponed', delayMs: waitMs }
      await sleep(clock, Math.min(waitMs, limit.perMs), over)
    }
    return ended
  }

  #isTooLong(waitMs: number): boolean {
    return waitMs > longestWaitMs && this.#settings.mostWaiting !== Number.POSITIVE_INFINITY
  }

  /** Longer the more have been turned away, and never all at the same time. */
  #nextDelay(): number {
    const { limit } = this.#settings
    const untilFree = limit === undefined ? 0 : (this.#waiting * limit.perMs) / limit.max
    const delayMs = Math.max(shortestDelayMs, Math.min(untilFree, longestDelayMs))
    return delayMs * (1 + Math.random())
  }

  async #pause(waitMs: number, over: AbortSignal, changed: Promise<void>): Promise<void> {
    const end = new AbortController()
    const stop = () => end.abort()
    over.addEventListener('abort', stop, { once: true })
    void changed.then(stop)
    await sleep(this.#settings.clock, waitMs, end.signal)
    over.removeEventListener('abort', stop)
  }
}

function keyFor(by: KeyOf | undefined, { message }: DeliveryInHand): string | undefined {
  if (by === undefined) return message.key
  const key: unknown = by(message)
  if (key === undefined || typeof key === 'string') return key
  throw new MessagingError('failed', `The function by of a policy returned ${typeof key} instead of text`)
}
