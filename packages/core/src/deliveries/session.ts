import type { Delivery, Subscription, Verdict } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { DeliveryInHand } from './delivery.ts'
import type { Hand } from './hand.ts'
import { Leases } from './leases.ts'
import { Prefetch } from './prefetch.ts'
import { Settlements } from './settlements.ts'

export interface SessionSettings {
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: string
  readonly group: string
  readonly prefetch: number
  readonly maxPrefetch: number
  readonly maxLeaseMs: number
}

// While some are fetched, others are handled and others settled: each in its own share, so that none waits for another.
const largestShare = 1 / 4

/** One subscription's life: takes deliveries in hand, and gives each back with its verdict or as lost. */
export class Session {
  readonly #subscription: Subscription
  readonly #hand: Hand
  readonly #settings: SessionSettings
  readonly #prefetch: Prefetch
  readonly #settlements: Settlements
  readonly #leases: Leases
  #closed = false
  /** How often in a row the broker has asked for patience instead of giving deliveries, and how it said so last. */
  #refusals = 0
  #refusal: MessagingError | undefined
  receivedAny = false

  constructor(subscription: Subscription, hand: Hand, settings: SessionSettings) {
    this.#subscription = subscription
    this.#hand = hand
    this.#settings = settings
    const { clock, prefetch, maxPrefetch, maxLeaseMs } = settings
    this.#prefetch = new Prefetch(prefetch, maxPrefetch, clock.now())
    const report = (what: string, error: MessagingError) => this.#report(what, error)
    this.#settlements = new Settlements(subscription, {
      clock,
      report,
      onStale: (inHand, error) => this.#lose([inHand], error.message),
    })
    this.#leases = new Leases(subscription, {
      clock,
      maxLeaseMs,
      report,
      inHand: () => hand.all(),
      onOverdue: (overdue) => this.#letGo(overdue),
    })
    subscription.onLost((deliveries) => {
      const lost = new Set(deliveries)
      const ours = hand.all().filter(({ delivery }) => lost.has(delivery))
      this.#lose(ours, 'The broker took the delivery back')
    })
  }

  /** Why nothing is received at the moment, or a verdict could not be carried out yet; an operator sees it in `health()`. */
  get error(): MessagingError | undefined {
    return this.#refusal ?? this.#settlements.error
  }

  /** Receives while there is room, until the signal fires. Rejects when the subscription is broken. */
  async receive(signal: AbortSignal, accept: (inHand: DeliveryInHand) => void): Promise<void> {
    const { topic, group, clock } = this.#settings
    signal.addEventListener('abort', this.#hand.wake)
    try {
      let asked: Promise<readonly Delivery[]> | undefined
      while (asked !== undefined || !signal.aborted) {
        asked ??= this.#ask(signal)
        if (asked === undefined) {
          await this.#hand.changed()
          continue
        }
        const deliveries = await asked
        const now = clock.now()
        const received = deliveries.map(
          (delivery) => new DeliveryInHand(delivery, topic, group, now, this.#hand),
        )
        if (received.length > 0) this.receivedAny = true
        if (this.#prefetch.add(received.length, now)) this.#subscription.resize?.(this.#prefetch.size)
        // Before these are looked at, so that the broker works meanwhile.
        asked = this.#ask(signal)
        for (const inHand of received) accept(inHand)
      }
    } finally {
      signal.removeEventListener('abort', this.#hand.wake)
    }
  }

  /** Undefined when there is no room, or the signal has fired. */
  #ask(signal: AbortSignal): Promise<readonly Delivery[]> | undefined {
    const { size } = this.#prefetch
    const room = size - this.#hand.occupied
    if (room <= 0 || signal.aborted) return undefined
    return this.#next(Math.min(room, Math.ceil(size * largestShare)), signal)
  }

  // A broker that asks for patience has not ended the subscription. To give back all that is in hand would make more work
  // for it, and run handlers twice.
  async #next(room: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    try {
      const deliveries = await this.#subscription.receive(room, signal)
      this.#refusals = 0
      this.#refusal = undefined
      return deliveries
    } catch (thrown) {
      const error = toMessagingError(thrown, 'The driver failed to receive')
      if (error.code !== 'throttled') throw thrown
      this.#refusals += 1
      this.#refusal = error
      this.#report('receiving', error)
      await sleep(this.#settings.clock, reconnectBackoff(this.#refusals), signal)
      return []
    }
  }

  /** Hands the verdict over, once; `settled` is called when it is durable. */
  settle(inHand: DeliveryInHand, verdict: Verdict, settled?: () => void): void {
    if (inHand.ended) return
    inHand.end(this.#settings.clock.now())
    this.#settlements.add(inHand, verdict, settled)
    if (verdict.kind === 'release') this.#releaseFollowers([inHand])
  }

  /** Gives all of them back, and nothing else. */
  release(all: readonly DeliveryInHand[]): void {
    for (const inHand of all) {
      if (inHand.ended) continue
      inHand.end(this.#settings.clock.now())
      this.#settlements.add(inHand, { kind: 'release' }, undefined)
    }
  }

  // What goes back to the group comes again behind all that is here of its key. To keep the order, that has to go back
  // too, and then comes again after it.
  #releaseFollowers(gone: readonly DeliveryInHand[]): void {
    const keys = new Set(gone.map(({ laneKey }) => laneKey))
    keys.delete(undefined)
    if (keys.size === 0) return
    this.release(this.#hand.all().filter(({ laneKey, state }) => keys.has(laneKey) && state === 'waiting'))
  }

  /** Resolves when nothing in hand waits for its verdict to be durable. */
  async settled(): Promise<void> {
    await Promise.all(this.#hand.all().map(({ whenSettled }) => whenSettled))
  }

  /** Everything still in hand is lost. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true
    this.#settlements.close()
    this.#leases.close()
    // Before it is closed, which may take its time: no handler is to start for what the group gets back.
    this.#lose(this.#hand.all(), 'The subscription ended')
    try {
      await this.#subscription.close()
    } catch (error) {
      this.#report('closing the subscription', toMessagingError(error, 'Closing failed'))
    }
  }

  // Those with a key go back at once: if they came with their lease's end, what follows them would come before.
  #letGo(overdue: readonly DeliveryInHand[]): void {
    for (const inHand of overdue) if (inHand.laneKey !== undefined) this.settle(inHand, { kind: 'release' })
    this.#lose(overdue, 'The handler ran longer than maxLease')
  }

  #lose(lost: readonly DeliveryInHand[], why: string): void {
    for (const inHand of lost) {
      if (inHand.isSettled) continue
      this.#settlements.forget(inHand)
      inHand.lose(new MessagingError('stale', why), this.#settings.clock.now())
      this.#settings.emit('lost', inHand.info)
    }
    this.#releaseFollowers(lost)
  }

  #report(what: string, error: MessagingError): void {
    if (this.#closed) return
    const { topic, group, emit } = this.#settings
    emit('failure', { what: `${what}, topic ${topic}, group ${group}`, error })
  }
}
