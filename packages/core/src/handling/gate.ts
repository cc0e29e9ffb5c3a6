import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'
import type { Message } from '../messages/message.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Places } from './places.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { WaitingRoom } from './waiting-room.ts'

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

/** What may wait at a gate. */
export interface GateRoom {
  /** How many at once; the rest is postponed. Infinity where that would help nobody. */
  readonly most: number
  /** What would wait longer is postponed. */
  readonly longestMs: number
}

export interface GateSettings {
  readonly clock: Clock
  /** Of what its consumer has received itself. */
  readonly own: GateRoom
  /** Of what another consumer has received and lends it. */
  readonly lent: GateRoom
  /** Undefined: as many at once as the consumer has slots. */
  readonly places: Places | undefined
  readonly placeBy: KeyOf | undefined
  readonly limiter: RateLimiter | undefined
  /** Undefined: all messages count together. */
  readonly limitBy: KeyOf | undefined
  readonly breaker: CircuitBreaker | undefined
}

/** A delivery on its way through the gate. */
interface Passing {
  readonly delivery: DeliveryInHand
  readonly placeKey: string
  readonly limitKey: string
  /** Fires when the delivery ends. */
  readonly over: AbortSignal
  readonly room: GateRoom
  /** When it has waited here for long enough. */
  readonly deadline: number
  /** It has its share of the waiting room. */
  isInRoom: boolean
}

const passed: Passage = { kind: 'passed' }
const ended: Passage = { kind: 'ended' }

/**
 * What a delivery has to pass before it takes a slot: its handler's circuit breaker, concurrency and rate limit. What waits
 * here holds no slot and no place, and counts no attempt.
 */
export class Gate {
  readonly breaker: CircuitBreaker | undefined
  readonly #settings: GateSettings
  readonly #room: WaitingRoom

  constructor(settings: GateSettings) {
    this.#settings = settings
    this.breaker = settings.breaker
    this.#room = new WaitingRoom(settings.clock)
  }

  /** Why nothing passes at the moment, though it should. */
  get error(): MessagingError | undefined {
    return this.#settings.limiter?.error
  }

  /** Without a promise when nothing is in the way. */
  pass(delivery: DeliveryInHand, isLent: boolean): Passage | Promise<Passage> {
    const { placeBy, limitBy } = this.#settings
    let placeKey: string
    let limitKey: string
    try {
      placeKey = placeBy === undefined ? '' : keyFor(placeBy, delivery)
      limitKey = limitBy === undefined ? '' : keyFor(limitBy, delivery)
    } catch (error) {
      return { kind: 'failed', error }
    }
    if (this.#passesAtOnce(delivery, placeKey, limitKey)) return passed
    return this.#wait(delivery, placeKey, limitKey, isLent)
  }

  /** The delivery has been handled, or will not be. */
  leave(delivery: DeliveryInHand): void {
    this.breaker?.left(delivery)
    this.#settings.places?.leave(delivery, true)
  }

  #passesAtOnce(delivery: DeliveryInHand, placeKey: string, limitKey: string): boolean {
    const { places, limiter, breaker } = this.#settings
    if (breaker !== undefined && breaker.state !== 'closed') return false
    if (limiter !== undefined && (!limiter.isLocal || limiter.hasLine(limitKey))) return false
    if (places?.tryEnter(delivery, placeKey) === false) return false
    if (limiter === undefined || limiter.take(limitKey) === 0) return true
    places?.leave(delivery)
    return false
  }

  async #wait(
    delivery: DeliveryInHand,
    placeKey: string,
    limitKey: string,
    isLent: boolean,
  ): Promise<Passage> {
    const { clock, own, lent } = this.#settings
    const room = isLent ? lent : own
    const over = new AbortController()
    const deadline = clock.monotonic() + room.longestMs
    delivery.onEnd(() => over.abort())
    const passing = { delivery, placeKey, limitKey, over: over.signal, room, deadline, isInRoom: false }
    const passage = await this.#goThrough(passing)
    if (passing.isInRoom) this.#room.leave(roomKey(passing))
    const isEnded = delivery.ended
    if (!isEnded) delivery.onEnd(undefined)
    if (passage.kind === 'passed' && !isEnded) return passage
    this.breaker?.left(delivery)
    this.#settings.places?.leave(delivery)
    return isEnded ? ended : passage
  }

  async #goThrough(passing: Passing): Promise<Passage> {
    const { limiter, breaker, places } = this.#settings
    const { delivery, limitKey, over } = passing
    let isItsTurn = false
    while (!over.aborted) {
      const shut = await this.#passBreaker(passing)
      if (shut !== undefined) return shut
      const full = await this.#takePlace(passing)
      if (full !== undefined) return full
      const mustWait = limiter !== undefined && !isItsTurn && limiter.hasLine(limitKey)
      const waitMs = mustWait ? 0 : ((await limiter?.take(limitKey)) ?? 0)
      if (!mustWait && waitMs === 0) {
        // It may have opened in the meantime.
        if (breaker === undefined || breaker.enter(delivery) === 0) return passed
        places?.leave(delivery)
        continue
      }
      // Whoever waits for the limit keeps nobody else from going.
      places?.leave(delivery)
      const late = await this.#awaitTurn(passing, waitMs)
      if (late !== undefined) return late
      isItsTurn = true
    }
    return ended
  }

  /** Undefined when it is passed. */
  async #passBreaker(passing: Passing): Promise<Passage | undefined> {
    const { breaker } = this
    if (breaker === undefined) return undefined
    const { delivery, over } = passing
    for (let waitMs = breaker.enter(delivery); waitMs > 0; waitMs = breaker.enter(delivery)) {
      if (!this.#mayWait(passing, waitMs)) return this.#postpone(passing, waitMs)
      await this.#pause(waitMs, over, breaker.changed)
      if (over.aborted) return ended
    }
    return undefined
  }

  /** Undefined when it has one. */
  async #takePlace(passing: Passing): Promise<Passage | undefined> {
    const { places, clock } = this.#settings
    const { delivery, placeKey, over, deadline } = passing
    if (places === undefined || places.tryEnter(delivery, placeKey)) return undefined
    // One that tries whether the circuit can close must not be held up by a place: others may have theirs.
    this.breaker?.left(delivery)
    if (!this.#mayWait(passing, 0)) return this.#postpone(passing, 0)
    const outcome = await places.enter(delivery, placeKey, over, Math.max(0, deadline - clock.monotonic()))
    if (outcome === 'entered') {
      if (this.breaker === undefined || this.breaker.enter(delivery) === 0) return undefined
      places.leave(delivery)
      return (await this.#passBreaker(passing)) ?? this.#takePlace(passing)
    }
    return outcome === 'ended' ? ended : this.#postpone(passing, 0)
  }

  /** Undefined when it may ask again. */
  async #awaitTurn(passing: Passing, waitMs: number): Promise<Passage | undefined> {
    const { limiter } = this.#settings
    const { delivery, limitKey, over } = passing
    if (limiter === undefined) return undefined
    this.breaker?.left(delivery)
    const expectedMs = limiter.expectedMs(limitKey, waitMs)
    if (!this.#mayWait(passing, expectedMs)) return this.#postpone(passing, expectedMs)
    await limiter.turn(limitKey, waitMs, over)
    return over.aborted ? ended : undefined
  }

  /** Whether there is room and time for it to wait here. */
  #mayWait(passing: Passing, waitMs: number): boolean {
    if (this.#settings.clock.monotonic() + waitMs > passing.deadline) return false
    passing.isInRoom ||= this.#room.enter(roomKey(passing), passing.room.most)
    return passing.isInRoom
  }

  #postpone(passing: Passing, atLeastMs: number): Passage {
    const { limiter, places } = this.#settings
    const spacingMs = Math.max(limiter?.spacingMs ?? 0, places?.spacingMs ?? 0)
    return { kind: 'postponed', delayMs: this.#room.nextDelay(roomKey(passing), spacingMs, atLeastMs) }
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

function roomKey({ placeKey, limitKey }: Passing): string {
  return placeKey === limitKey ? placeKey : `${limitKey} ${placeKey}`
}

function keyFor(by: KeyOf, { message }: DeliveryInHand): string {
  const key: unknown = by(message)
  if (key === undefined) return ''
  if (typeof key === 'string') return key
  throw new MessagingError('failed', `The function by of a policy returned ${typeof key} instead of text`)
}
