import { setImmediate } from 'node:timers'
import type { Delivery, Subscription } from '../driver.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'

export interface FetchesSettings {
  readonly clock: Clock
  /** See `Capabilities`: what is in hand outlives a receive that failed. */
  readonly keepsDeliveries: boolean
  /** Whether anything is in hand. */
  readonly holdsAny: () => boolean
  readonly report: (what: string, error: MessagingError) => void
}

// How many receives may fail in a row while nothing is in hand.
const patience = 5

// A receive that has waited for so long has not failed: there is nothing to receive.
const quietMs = 5000

// A receive that has waited for so long is made to come back when somebody asks, to see whether it does; and how long it
// gets for that.
const waitedMs = 60_000
const comesBackMs = 10_000

/** Receives from a subscription, one call at a time. What fails is tried again with backoff where nothing is lost by it. */
export class Fetches {
  readonly #subscription: Subscription
  readonly #settings: FetchesSettings
  #interruption = new AbortController()
  /** Fetches that were begun and whose deliveries have not been taken. */
  #open = 0
  /** How often in a row receiving has failed without ending the subscription. */
  #failures = 0
  #error: MessagingError | undefined
  /** When the receive that is under way began, and when it was told to come back. */
  #askedAt: number | undefined
  #interruptedAt: number | undefined

  constructor(subscription: Subscription, settings: FetchesSettings) {
    this.#subscription = subscription
    this.#settings = settings
  }

  /** Why nothing is received at the moment. */
  get error(): MessagingError | undefined {
    return this.#error
  }

  /** Makes the fetch that is under way come back now, with what it has. False when there is none, and none to be taken. */
  interrupt(): boolean {
    if (this.#open === 0) return false
    this.#interruption.abort()
    if (this.#askedAt !== undefined) this.#interruptedAt ??= this.#settings.clock.monotonic()
    return true
  }

  /**
   * Why nothing will be received any more: a receive was told to come back and did not. One that has waited for long is told
   * so now, which costs an idle consumer nothing, and shows at the next look whether it is alive.
   */
  stall(): MessagingError | undefined {
    if (this.#askedAt === undefined) return undefined
    const now = this.#settings.clock.monotonic()
    if (this.#interruptedAt === undefined && now - this.#askedAt > waitedMs) this.interrupt()
    if (this.#interruptedAt === undefined || now - this.#interruptedAt <= comesBackMs) return undefined
    const waited = Math.round(now - this.#interruptedAt)
    const what = `The driver was told ${waited} ms ago to come back from receiving, and has not`
    return new MessagingError('timeout', `${what}: nothing else is received. Restart the process`)
  }

  /** What a fetch brought has been taken. */
  taken(): void {
    this.#open -= 1
  }

  /** Resolves with none after a failure that was waited out. Rejects when the subscription is broken. */
  async fetch(max: number): Promise<readonly Delivery[]> {
    const { clock } = this.#settings
    if (this.#interruption.signal.aborted) this.#interruption = new AbortController()
    const { signal } = this.#interruption
    const forget = () => {
      this.#error = undefined
    }
    const cancel = this.#error && clock.after(quietMs, forget, { background: true })
    this.#open += 1
    this.#askedAt = clock.monotonic()
    try {
      const deliveries = await this.#subscription.receive(max, signal)
      this.#cameBack()
      this.#failures = 0
      forget()
      // A driver that returns nothing at once must not starve the event loop.
      if (deliveries.length === 0 && !signal.aborted) await new Promise((resolve) => setImmediate(resolve))
      return deliveries
    } catch (thrown) {
      this.#cameBack()
      cancel?.()
      await this.#waitOut(thrown, signal)
      return []
    } finally {
      cancel?.()
    }
  }

  #cameBack(): void {
    this.#askedAt = undefined
    this.#interruptedAt = undefined
  }

  // What is in hand is kept whenever it can be: to give all of it back would make more work for a broker in trouble, and
  // run handlers twice.
  async #waitOut(thrown: unknown, signal: AbortSignal): Promise<void> {
    const error = toMessagingError(thrown, 'The driver failed to receive')
    if (!this.#goesOnAfter(error)) throw thrown
    this.#failures += 1
    this.#error = error
    this.#settings.report('receiving', error)
    await sleep(this.#settings.clock, reconnectBackoff(this.#failures), signal)
  }

  #goesOnAfter({ code, retryable }: MessagingError): boolean {
    if (code === 'throttled') return true
    const { keepsDeliveries, holdsAny } = this.#settings
    if (!keepsDeliveries || !retryable || code === 'topology-missing') return false
    // With nothing in hand, subscribing again costs nothing, and may help where asking again does not.
    return holdsAny() || this.#failures < patience
  }
}
