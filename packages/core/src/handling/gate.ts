import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Emit } from '../events/events.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import type { Message } from '../messages/message.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { KeySlots } from './key-slots.ts'
import type { RateLimitStore } from './rate-limit.ts'
import { answerOf } from './store-probe.ts'

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
  readonly slots:
    | { readonly places: KeySlots; readonly by: KeyOf | undefined; readonly isByKey: boolean }
    | undefined
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

// How long a store may take to answer.
const storeTimeoutMs = 10_000

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
  /** So that what one key has waiting leaves room for the others. */
  readonly #waitingByKey = new Map<string, number>()
  readonly #isByKey: boolean
  #error: MessagingError | undefined

  constructor(settings: GateSettings) {
    this.#settings = settings
    this.breaker = settings.breaker
    this.#isByKey = settings.slots?.isByKey === true || settings.limit?.by !== undefined
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
    // Whoever waits, waits for another key or for a place that there is not: nobody is overtaken.
    const isFree = limit === undefined && (this.breaker?.state ?? 'closed') === 'closed'
    if (isFree && slots === undefined) return passed
    if (isFree && slots?.places.tryAcquire(key)) {
      this.#places.set(delivery, key)
      return passed
    }
    const share = this.#isByKey ? JSON.stringify([key, limitKey]) : ''
    const most = this.#isByKey ? Math.max(1, Math.floor(mostWaiting / 2)) : mostWaiting
    const waitingHere = this.#waitingByKey.get(share) ?? 0
    if (this.#waiting >= mostWaiting || waitingHere >= most)
      return { kind: 'postponed', delayMs: this.#nextDelay() }
    this.#waitingByKey.set(share, waitingHere + 1)
    return this.#wait(delivery, key, limitKey, share)
  }

  /** The delivery has been handled, or will not be. */
  leave(delivery: DeliveryInHand): void {
    this.breaker?.left(delivery)
    const key = this.#places.get(delivery)
    if (key === undefined) return
    this.#places.delete(delivery)
    this.#settings.slots?.places.release(key)
  }

  async #wait(delivery: DeliveryInHand, key: string, limitKey: string, share: string): Promise<Passage> {
    this.#waiting += 1
    const over = new AbortController()
    delivery.onEnd(() => over.abort())
    try {
      const passage = await this.#goThrough(delivery, key, limitKey, over.signal)
      if (passage.kind !== 'passed') this.leave(delivery)
      return passage
    } finally {
      this.#waiting -= 1
      const left = (this.#waitingByKey.get(share) ?? 1) - 1
      if (left === 0) this.#waitingByKey.delete(share)
      else this.#waitingByKey.set(share, left)
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
      try {
        const answer = await unlessOver(over, () =>
          answerOf(clock, storeTimeoutMs, async () => limit.store.take(take)),
        )
        if (answer === undefined) return ended
        const waitMs = waitIn(answer.value)
        this.#error = undefined
        failures = 0
        if (waitMs === 0) return undefined
        // Some databases answer odd numbers; no wait is longer than the limit's time.
        const boundMs = Math.min(waitMs, limit.perMs)
        if (this.#isTooLong(boundMs)) return { kind: 'postponed', delayMs: boundMs }
        await sleep(clock, Math.max(1, boundMs), over)
      } catch (thrown) {
        failures += 1
        this.#error = toMessagingError(thrown, 'The rate limit store does not answer', { retryable: true })
        const what = `rate limit store of ${name}: nothing is handled until it answers`
        emit('failure', { what, error: this.#error })
        await sleep(clock, reconnectBackoff(failures), over)
      }
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

/** Undefined when the signal fires first: then nobody waits for the answer any more. */
function unlessOver<Answer>(
  over: AbortSignal,
  ask: () => Promise<Answer>,
): Promise<{ readonly value: Answer } | undefined> {
  return new Promise((resolve, reject) => {
    const onEnd = () => resolve(undefined)
    over.addEventListener('abort', onEnd, { once: true })
    ask()
      .then((value) => resolve({ value }), reject)
      .finally(() => over.removeEventListener('abort', onEnd))
  })
}

/** What is no number says nothing about the limit, so it lets nothing through. */
function waitIn(answer: unknown): number {
  if (typeof answer === 'number' && answer >= 0) return answer
  const what = `take answered ${typeof answer === 'number' ? answer : typeof answer}`
  throw new MessagingError('failed', `${what} instead of a wait of 0 or more milliseconds`)
}
