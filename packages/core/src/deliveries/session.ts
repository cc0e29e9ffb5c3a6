import type { Delivery, Outcome, Settlement, Subscription, Verdict } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import { Batcher } from '../lib/batcher.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { Roster } from '../lib/roster.ts'
import { DeliveryInHand } from './delivery.ts'
import { Prefetch } from './prefetch.ts'

export interface SessionSettings {
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: string
  readonly group: string
  readonly prefetch: number
  readonly maxPrefetch: number
  readonly maxLeaseMs: number
  /** How many lost deliveries still keep handlers or lanes busy: they take room too, else a stuck handler would pile them up. */
  readonly strays: () => number
}

interface PendingSettlement extends Settlement {
  readonly inHand: DeliveryInHand
  readonly settled: (() => void) | undefined
  readonly tries: number
}

const noAnswer: Outcome = {
  ok: false,
  error: new MessagingError('failed', 'The driver gave no answer for a settlement'),
}

// Settlements are small; the bound only keeps one call from growing with the backlog.
const maxSettlements = 1000

// While some are fetched, others are handled and others settled: each in its own share, so that none waits for another.
const largestShare = 1 / 4

/**
 * One subscription's life: the deliveries in hand from receipt to durable verdict, their leases, and their settlement,
 * coalesced and tried again until it is durable or the subscription is gone.
 */
export class Session {
  readonly #subscription: Subscription
  readonly #settings: SessionSettings
  readonly #inHand = new Roster<DeliveryInHand>()
  readonly #prefetch: Prefetch
  readonly #settlements: Batcher<PendingSettlement>
  readonly #closed = new AbortController()
  #roomMade: (() => void) | undefined
  #cancelRenewal: (() => void) | undefined
  /** How often in a row the broker has asked for patience instead of giving deliveries, and how it said so last. */
  #refusals = 0
  #refusal: MessagingError | undefined
  /** Settlements that failed and are tried again, with the latest reason. */
  readonly #unsettled = new Map<DeliveryInHand, MessagingError>()
  receivedAny = false

  constructor(subscription: Subscription, settings: SessionSettings) {
    this.#subscription = subscription
    this.#settings = settings
    this.#prefetch = new Prefetch(settings.prefetch, settings.maxPrefetch, settings.clock.now())
    this.#settlements = new Batcher((batch) => this.#run(batch), { maxItems: maxSettlements, parallelism: 1 })
    subscription.onLost((deliveries) => {
      const lost = new Set(deliveries)
      const ours = this.inHand().filter(({ delivery }) => lost.has(delivery))
      this.#lose(ours, 'The broker took the delivery back')
    })
    this.#scheduleRenewal()
  }

  get size(): number {
    return this.#inHand.size
  }

  /** Why nothing is received at the moment, or a verdict could not be carried out yet; an operator sees it in `health()`. */
  get error(): MessagingError | undefined {
    return this.#refusal ?? this.#unsettled.values().next().value
  }

  inHand(): readonly DeliveryInHand[] {
    return this.#inHand.all()
  }

  /** There may be room now. */
  readonly wake = (): void => this.#roomMade?.()

  /** Receives while there is room, until the signal fires. Rejects when the subscription is broken. */
  async receive(signal: AbortSignal, accept: (inHand: DeliveryInHand) => void): Promise<void> {
    const { topic, group, clock } = this.#settings
    signal.addEventListener('abort', this.wake)
    try {
      let asked: Promise<readonly Delivery[]> | undefined
      while (asked !== undefined || !signal.aborted) {
        asked ??= this.#ask(signal)
        if (asked === undefined) {
          await new Promise<void>((resolve) => {
            this.#roomMade = resolve
          })
          continue
        }
        const deliveries = await asked
        const now = clock.now()
        const received = deliveries.map((delivery) => {
          const inHand = new DeliveryInHand(delivery, topic, group, now)
          inHand.place = this.#inHand.add(inHand)
          return inHand
        })
        if (received.length > 0) this.receivedAny = true
        if (this.#prefetch.add(received.length, now)) this.#subscription.resize?.(this.#prefetch.size)
        // Before these are looked at, so that the broker works meanwhile.
        asked = this.#ask(signal)
        for (const inHand of received) accept(inHand)
      }
    } finally {
      signal.removeEventListener('abort', this.wake)
    }
  }

  /** Undefined when there is no room, or the signal has fired. */
  #ask(signal: AbortSignal): Promise<readonly Delivery[]> | undefined {
    const { size } = this.#prefetch
    const room = size - this.#inHand.size - this.#settings.strays()
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
    inHand.end()
    this.#settlements.add({ delivery: inHand.delivery, verdict, inHand, settled, tries: 0 })
    if (verdict.kind === 'release') this.#releaseFollowers([inHand])
  }

  /** Gives all of them back, and nothing else. */
  release(all: readonly DeliveryInHand[]): void {
    for (const inHand of all) {
      if (inHand.ended) continue
      inHand.end()
      const verdict: Verdict = { kind: 'release' }
      this.#settlements.add({ delivery: inHand.delivery, verdict, inHand, settled: undefined, tries: 0 })
    }
  }

  // What goes back to the group comes again behind all that is here of its key. To keep the order, that has to go back
  // too, and then comes again after it.
  #releaseFollowers(gone: readonly DeliveryInHand[]): void {
    const keys = new Set(gone.map(({ laneKey }) => laneKey))
    keys.delete(undefined)
    if (keys.size === 0) return
    this.release(this.inHand().filter(({ laneKey, stage }) => keys.has(laneKey) && stage === 'waiting'))
  }

  /** Resolves when nothing in hand waits for its verdict to be durable. */
  async settled(): Promise<void> {
    await Promise.all(this.inHand().map(({ whenSettled }) => whenSettled))
  }

  /** Everything still in hand is lost. Never rejects. */
  async close(): Promise<void> {
    this.#closed.abort()
    this.#cancelRenewal?.()
    // Before it is closed, which may take its time: no handler is to start for what the group gets back.
    this.#lose(this.inHand(), 'The subscription ended')
    try {
      await this.#subscription.close()
    } catch (error) {
      this.#report('closing the subscription', toMessagingError(error, 'Closing failed'))
    }
  }

  async #run(batch: readonly PendingSettlement[]): Promise<void> {
    const outcomes = await this.#attempt(batch)
    const failed: PendingSettlement[] = []
    for (const [index, pending] of batch.entries()) {
      // Lost meanwhile: nobody knows whether it was settled before.
      if (pending.inHand.isSettled) continue
      const outcome = outcomes[index] ?? noAnswer
      if (outcome.ok) this.#done(pending)
      else if (outcome.error.code === 'stale') this.#lose([pending.inHand], outcome.error.message)
      else {
        failed.push(pending)
        this.#unsettled.set(pending.inHand, outcome.error)
        this.#report(`settling (${pending.verdict.kind})`, outcome.error)
      }
    }
    if (failed.length > 0) void this.#again(failed)
  }

  async #attempt(batch: readonly PendingSettlement[]): Promise<readonly Outcome[]> {
    try {
      return await this.#subscription.settle(batch)
    } catch (thrown) {
      const error = toMessagingError(thrown, 'The driver failed to settle')
      return batch.map(() => ({ ok: false, error }))
    }
  }

  // Beside the batches, so that what fails holds up nothing else. Even errors that look final are tried again: giving
  // up would strand the message with this member, and the permission or the queue may be put right.
  async #again(failed: readonly PendingSettlement[]): Promise<void> {
    const tries = Math.max(...failed.map((pending) => pending.tries)) + 1
    await sleep(this.#settings.clock, reconnectBackoff(tries), this.#closed.signal)
    if (this.#closed.signal.aborted) return
    for (const pending of failed) {
      if (!pending.inHand.isSettled) this.#settlements.add({ ...pending, tries })
    }
  }

  #done({ inHand, settled }: PendingSettlement): void {
    this.#remove(inHand)
    settled?.()
  }

  #lose(lost: readonly DeliveryInHand[], why: string): void {
    for (const inHand of lost) {
      if (inHand.isSettled) continue
      inHand.end()
      this.#remove(inHand)
      inHand.abort(new MessagingError('stale', why))
      this.#settings.emit('lost', inHand.info)
    }
    this.#releaseFollowers(lost)
  }

  #remove(inHand: DeliveryInHand): void {
    if (inHand.place !== undefined) this.#inHand.remove(inHand.place)
    this.#unsettled.delete(inHand)
    inHand.markSettled()
    this.#roomMade?.()
  }

  #scheduleRenewal(): void {
    const { leaseMs } = this.#subscription
    if (leaseMs === undefined) return
    const renew = () => {
      this.#scheduleRenewal()
      void this.#renew(leaseMs)
    }
    this.#cancelRenewal = this.#settings.clock.after(leaseMs / 3, renew, { background: true })
  }

  async #renew(leaseMs: number): Promise<void> {
    const overdue = this.#overdue()
    // Those with a key go back at once: if they came with their lease's end, what follows them would come before.
    for (const inHand of overdue) if (inHand.laneKey !== undefined) this.settle(inHand, { kind: 'release' })
    this.#lose(overdue, 'The handler ran longer than maxLease')
    const current = this.inHand().map(({ delivery }) => delivery)
    if (current.length === 0) return
    try {
      await this.#subscription.extend(current, leaseMs)
    } catch (error) {
      this.#report('renewing leases', toMessagingError(error, 'Renewing leases failed'))
    }
  }

  /**
   * Whose handler has run, or who has waited for one, longer than maxLease. What is held waits for as long as its backoff
   * says, and what waits behind the head of its key for as long as the head does.
   */
  #overdue(): readonly DeliveryInHand[] {
    const oldest = this.#settings.clock.now() - this.#settings.maxLeaseMs
    const headed = new Set<string>()
    return this.inHand().filter(({ laneKey, stage, startedAt, receivedAt }) => {
      if (laneKey !== undefined && stage !== 'ended') {
        if (headed.has(laneKey)) return false
        headed.add(laneKey)
      }
      return stage !== 'held' && (startedAt ?? receivedAt) < oldest
    })
  }

  #report(what: string, error: MessagingError): void {
    if (this.#closed.signal.aborted) return
    const { topic, group, emit } = this.#settings
    emit('failure', { what: `${what}, topic ${topic}, group ${group}`, error })
  }
}
