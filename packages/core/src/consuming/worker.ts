import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { Hand } from '../deliveries/hand.ts'
import type { Session } from '../deliveries/session.ts'
import type { BreakerState } from '../handling/circuit-breaker.ts'
import type { Slots } from '../handling/lanes.ts'
import type { Processing } from '../handling/processing.ts'
import type { Unhandled } from '../handling/unhandled.ts'
import type { MessagingError } from '../lib/errors.ts'
import { Attempts } from './attempts.ts'
import { drain, type StopReport } from './drain.ts'
import type { Membership, Memberships } from './memberships.ts'
import { StuckWatch } from './stuck-watch.ts'
import { Subscriber, type SubscriberSettings } from './subscriber.ts'

export interface WorkerSettings extends SubscriberSettings {
  readonly stuckAfterMs: number
}

/** How a worker stands, for `health()`. */
export interface WorkerHealth {
  readonly topic: string
  readonly group: string
  /** `recovering`: the subscription was lost, or could not be had yet; it is tried again with backoff. */
  readonly state: 'starting' | 'running' | 'paused' | 'recovering' | 'stopped'
  /**
   * What keeps it from receiving, renewing, settling or, when all its handlers are stuck, handling. With an error the bus
   * is `degraded`.
   */
  readonly error?: MessagingError
  /**
   * What has stopped moving in this process, so that it has to be restarted: `handlers`, when all that may run at once have
   * been running for longer than `stuckAfter`; `receiving`, when the driver does not come back from a receive that it was told
   * to end. Absent otherwise.
   */
  readonly stalled?: 'handlers' | 'receiving'
  /** Deliveries in hand: running, queued, backing off until their next attempt, or being settled. */
  readonly inFlight: number
  /** Handlers that run now; of a pull loop, the messages it has been given and has not settled. */
  readonly running: number
  /** A pull loop, as made by `bus.receive()`; absent otherwise. */
  readonly isPull?: boolean
  /** For how long the oldest of them has been running, in milliseconds; absent when none runs. */
  readonly oldestRunningMs?: number
  /** Messages skipped since it started, because nobody in the group has ever asked for their type; absent when there are none. */
  readonly skipped?: number
  /** How often a message was left to others of the group, because no consumer here takes its type; absent when never. */
  readonly deferred?: number
  /** The circuit breakers of its handlers that have one; the bus is `degraded` while one is not closed. */
  readonly breakers?: readonly { readonly types: string; readonly state: BreakerState }[]
  /** Keys of an ordered topic that wait for the next attempt of their first message; absent when there are none. */
  readonly heldKeys?: number
  /** Verdicts that could not be carried out yet, and are tried again; absent when there are none. */
  readonly unsettled?: number
}

/** A consumer on one topic: the subscriber brings deliveries, the attempts handle them, and a drain ends both. */
export class Worker {
  readonly #settings: WorkerSettings
  readonly #hand = new Hand()
  readonly #subscriber: Subscriber
  readonly #attempts: Attempts
  readonly #stuckWatch: StuckWatch
  readonly #memberships: Memberships<Attempts>
  #membership: Membership<Attempts> | undefined
  #receiving = new AbortController()
  #resumed: (() => void) | undefined
  #paused = false
  #stopping = false

  constructor(
    settings: WorkerSettings,
    processing: Processing,
    slots: Slots,
    unhandled: Unhandled,
    memberships: Memberships<Attempts>,
  ) {
    this.#settings = settings
    this.#memberships = memberships
    this.#attempts = new Attempts(
      processing,
      slots,
      settings.clock,
      unhandled,
      () => this.#membership,
      settings.topic.ordered,
    )
    this.#stuckWatch = new StuckWatch(this.#attempts, settings)
    this.#subscriber = new Subscriber(settings, this.#hand, (session) => this.#receive(session))
  }

  /**
   * Resolves once subscribed. While the broker is away it keeps trying until the signal fires; an error that will not
   * go away by itself rejects.
   */
  start(signal: AbortSignal): Promise<void> {
    this.#stuckWatch.start()
    const { topic, group, broadcast } = this.#settings
    if (!broadcast) this.#membership ??= this.#memberships.join(topic, group.name, this.#attempts)
    return this.#subscriber.start(signal)
  }

  pause(): void {
    this.#paused = true
    this.#attempts.pause()
    this.#receiving.abort()
    this.#release(({ state, seen }) => state === 'waiting' && !seen)
  }

  resume(): void {
    this.#paused = false
    this.#attempts.resume()
    this.#resumed?.()
  }

  /** Takes nothing new, lets handlers finish until the signal fires, gives the rest back. */
  async stop(handlersOver: AbortSignal): Promise<StopReport> {
    this.#stopping = true
    const { topic, group } = this.#settings
    this.#memberships.leave(topic, group.name, this.#attempts)
    this.#subscriber.stop()
    this.#receiving.abort()
    this.#resumed?.()
    const parts = {
      subscriber: this.#subscriber,
      attempts: this.#attempts,
      hand: this.#hand,
      releaseWaiting: () => this.#release(({ state }) => state === 'waiting' || state === 'backing-off'),
    }
    this.#stuckWatch.close()
    const report = await drain(parts, this.#settings, handlersOver)
    this.#subscriber.markStopped()
    return report
  }

  health(): WorkerHealth {
    const { state, session } = this.#subscriber
    const stuck = this.#stuckWatch.error
    const deaf = session?.receiveStall()
    const error = this.#subscriber.error ?? stuck ?? deaf ?? this.#membership?.wanted.error
    const ages = this.#attempts.ages()
    const unsettled = session?.unsettled ?? 0
    const heldKeys = this.#settings.topic.ordered ? this.#heldKeys() : 0
    return {
      topic: this.#settings.topic.name,
      group: this.#settings.group.name,
      state: state === 'running' && this.#paused ? 'paused' : state,
      ...(error !== undefined && { error }),
      ...(stuck !== undefined && { stalled: 'handlers' }),
      ...(stuck === undefined && deaf !== undefined && { stalled: 'receiving' }),
      inFlight: this.#hand.size,
      running: this.#attempts.running,
      ...(ages !== undefined && { oldestRunningMs: ages.oldestMs }),
      ...(heldKeys > 0 && { heldKeys }),
      ...(unsettled > 0 && { unsettled }),
    }
  }

  // Only the first message of a key can be on its way to another attempt.
  #heldKeys(): number {
    return this.#hand.all().filter(({ state }) => state === 'backing-off').length
  }

  async #receive(session: Session): Promise<void> {
    while (!this.#stopping) {
      if (this.#paused) {
        session.throwIfSpent()
        const resumed = new Promise<void>((resolve) => {
          this.#resumed = resolve
        })
        await Promise.race([resumed, this.#hand.changed()])
        continue
      }
      this.#receiving = new AbortController()
      await session.receive(this.#receiving.signal, (inHand) => this.#attempts.accept(session, inHand))
    }
  }

  /** Gives back those that may go; of a key all or none, since what follows a head that stays would come before it. */
  #release(mayGo: (inHand: DeliveryInHand) => boolean): void {
    const staying = new Set<string>()
    const going = this.#hand.all().filter((inHand) => {
      const { laneKey } = inHand
      const goes = mayGo(inHand) && (laneKey === undefined || !staying.has(laneKey))
      if (!goes && laneKey !== undefined) staying.add(laneKey)
      return goes
    })
    this.#subscriber.session?.release(going)
  }
}
