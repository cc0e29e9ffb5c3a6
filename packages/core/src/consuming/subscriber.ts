import type { Hand } from '../deliveries/hand.ts'
import type { HandledInVain } from '../deliveries/handled-in-vain.ts'
import { Session } from '../deliveries/session.ts'
import type { Driver, GroupSpec } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { within } from '../lib/within.ts'
import type { Topic } from '../messages/topic.ts'
import type { Provisioner } from '../topology/provisioner.ts'

export interface SubscriberSettings {
  readonly driver: Driver
  readonly provisioner: Provisioner
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: Topic
  readonly group: GroupSpec
  readonly prefetch: number
  readonly maxPrefetch: number
  readonly leaseMs: number
  readonly maxLeaseMs: number
  readonly broadcast: boolean
  readonly handledInVain: HandledInVain
}

// How long closing a broken subscription may take before the next one is made.
const graceMs = 3000

/** Keeps a subscription: applies the topology, subscribes, and does both again whenever the subscription breaks. */
export class Subscriber {
  readonly #settings: SubscriberSettings
  readonly #hand: Hand
  readonly #use: (session: Session) => Promise<void>
  readonly #stopping = new AbortController()
  readonly #started = Promise.withResolvers<void>()
  #session: Session | undefined
  #state: 'starting' | 'running' | 'recovering' | 'stopped' = 'starting'
  #error: MessagingError | undefined
  #supervised: Promise<void> | undefined

  /** `use` receives from a session until this is stopped, and rejects when its subscription breaks. */
  constructor(settings: SubscriberSettings, hand: Hand, use: (session: Session) => Promise<void>) {
    this.#settings = settings
    this.#hand = hand
    this.#use = use
    // The caller of `start` gets this error; nobody else needs it.
    this.#started.promise.catch(() => {})
  }

  get session(): Session | undefined {
    return this.#session
  }

  get state(): 'starting' | 'running' | 'recovering' | 'stopped' {
    return this.#state
  }

  get error(): MessagingError | undefined {
    return this.#error ?? this.#session?.error
  }

  /**
   * Resolves once subscribed. While the broker is away it keeps trying until the signal fires; an error that will not
   * go away by itself rejects.
   */
  async start(signal: AbortSignal): Promise<void> {
    this.#supervised ??= this.#supervise()
    const onAbort = () => {
      const why = this.#error === undefined ? '' : `; the last attempt failed: ${this.#error.message}`
      this.#started.reject(
        new MessagingError('aborted', `Starting ${this.#what} was aborted before it had subscribed${why}`, {
          cause: this.#error ?? signal.reason,
        }),
      )
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#started.promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Subscribes no more; the present session is left to be drained and closed. */
  stop(): void {
    this.#stopping.abort()
    this.#started.reject(
      new MessagingError('closed', `The ${this.#what} was stopped before it was subscribed`),
    )
  }

  /** Resolves once nothing more is received and no subscription is being made. */
  async ended(): Promise<void> {
    await this.#supervised
  }

  async close(): Promise<void> {
    await this.#session?.close()
  }

  markStopped(): void {
    this.#state = 'stopped'
  }

  get #what(): string {
    return `consumer ${this.#settings.group.name} on topic ${this.#settings.topic.name}`
  }

  async #supervise(): Promise<void> {
    const { clock } = this.#settings
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      try {
        const session = await this.#subscribe()
        if (signal.aborted) {
          // Its caller may have stopped waiting.
          await session.close()
          break
        }
        this.#session = session
        this.#state = 'running'
        this.#error = undefined
        this.#started.resolve()
        await this.#use(session)
        return
      } catch (thrown) {
        const broken = this.#session
        this.#session = undefined
        failures = broken?.receivedAny ? 1 : failures + 1
        if (!signal.aborted && !this.#noteFailure(thrown)) return
        if (broken !== undefined) await within(clock, graceMs, broken.close())
        await sleep(clock, reconnectBackoff(failures), signal)
      }
    }
  }

  /** False when it makes no sense to go on. */
  #noteFailure(thrown: unknown): boolean {
    const { emit, provisioner, topic } = this.#settings
    const error = toMessagingError(thrown, `The ${this.#what} failed`)
    this.#error = error
    emit('failure', { what: this.#what, error })
    if (error.code === 'topology-missing') provisioner.forget(topic)
    if (this.#state !== 'starting') this.#state = 'recovering'
    else if (!error.retryable) {
      this.#state = 'stopped'
      this.#started.reject(error)
      return false
    }
    return true
  }

  async #subscribe(): Promise<Session> {
    const { driver, provisioner, topic, group, prefetch, maxPrefetch, leaseMs, broadcast } = this.#settings
    await provisioner.subscribed(topic, broadcast ? undefined : group, this.#stopping.signal)
    const { keepsDeliveries, release: releases, maxPrefetch: most } = driver.capabilities
    // As many again as are held at first, so that messages whose dead letters cannot be written leave room for the others.
    const allowance = Math.max(0, Math.min(prefetch, most - maxPrefetch))
    const subscription = await driver.subscribe({
      topic,
      group,
      prefetch,
      maxPrefetch: maxPrefetch + allowance,
      leaseMs,
      broadcast,
    })
    const names = { topic: topic.name, group: group.name }
    return new Session(subscription, this.#hand, {
      ...this.#settings,
      ...names,
      keepsDeliveries,
      releases,
      allowance,
    })
  }
}
