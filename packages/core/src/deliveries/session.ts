import type { Delivery, Subscription, Verdict } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { DeliveryInHand } from './delivery.ts'
import { Fetches } from './fetches.ts'
import type { Hand } from './hand.ts'
import type { HandledInVain } from './handled-in-vain.ts'
import { Leases } from './leases.ts'
import { LoopWatch } from './loop-watch.ts'
import { Prefetch } from './prefetch.ts'
import { ReturningKeys } from './returning-keys.ts'
import { Settlements } from './settlements.ts'

export interface SessionSettings {
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: string
  readonly group: string
  readonly prefetch: number
  readonly maxPrefetch: number
  readonly maxLeaseMs: number
  /** See `Capabilities`: what is in hand outlives a receive that failed. */
  readonly keepsDeliveries: boolean
  /** See `Capabilities`: the verdict `release` is carried out. */
  readonly releases: boolean
  readonly handledInVain: HandledInVain
  /**
   * How many deliveries whose verdicts cannot be carried out for the moment take no room: their neighbours go on. Beyond
   * it they do, so that memory stays bounded.
   */
  readonly allowance: number
}

// While some are fetched, others are handled and others settled. Each has its own share, so that none waits for another.
const largestShare = 1 / 4

/** One subscription's life: takes deliveries in hand, and gives each back with its verdict or as lost. */
export class Session {
  readonly #subscription: Subscription
  readonly #hand: Hand
  readonly #settings: SessionSettings
  readonly #prefetch: Prefetch
  readonly #settlements: Settlements
  readonly #leases: Leases
  readonly #loopWatch: LoopWatch
  readonly #returning: ReturningKeys
  readonly #fetches: Fetches
  /** The size that the driver knows of. */
  #toldSize: number
  #closed = false
  /** Something was given back that the driver cannot release: it goes back when this ends. */
  #isSpent = false
  receivedAny = false

  constructor(subscription: Subscription, hand: Hand, settings: SessionSettings) {
    this.#subscription = subscription
    this.#hand = hand
    this.#settings = settings
    const { clock, prefetch, maxPrefetch, maxLeaseMs } = settings
    this.#toldSize = prefetch
    this.#prefetch = new Prefetch(prefetch, maxPrefetch, clock.monotonic())
    const report = (what: string, error: MessagingError) => this.#report(what, error)
    this.#fetches = new Fetches(subscription, {
      clock,
      report,
      keepsDeliveries: settings.keepsDeliveries,
      holdsAny: () => hand.size > 0,
    })
    this.#settlements = new Settlements(subscription, {
      clock,
      report,
      onStale: (inHand, error) => this.#lose([inHand], error.message),
      onFailed: (inHand) => {
        this.#returning.failed(inHand)
        this.#resize()
        this.#hand.wake()
      },
      onSettled: (inHand) => {
        this.#returning.left(inHand)
        this.#resize()
      },
    })
    this.#returning = new ReturningKeys({
      release: (inHand) =>
        this.#giveVerdict(
          inHand,
          inHand.isForOthers ? { kind: 'release', toOthers: true } : { kind: 'release' },
        ),
      interruptFetch: () => this.#fetches.interrupt(),
      onOpen: hand.wake,
    })
    this.#leases = new Leases(subscription, {
      clock,
      maxLeaseMs,
      report,
      inHand: () => hand.all(),
      onOverdue: (overdue) => this.#letGo(overdue),
      onExpired: (expired) => this.#lose(expired, 'Its lease could not be renewed in time'),
    })
    const { emit, topic, group } = settings
    this.#loopWatch = new LoopWatch({ clock, emit, topic, group, inHand: () => hand.size })
    subscription.onLost((deliveries) => {
      const lost = new Set(deliveries)
      const ours = hand.all().filter(({ delivery }) => lost.has(delivery))
      this.#lose(ours, 'The broker took the delivery back')
    })
    subscription.onHandover?.((deliveries, { keepsBackoffs = false } = {}) => {
      const leaving = new Set(deliveries)
      const isHeld = ({ state }: DeliveryInHand) =>
        state === 'waiting' || (state === 'backing-off' && !keepsBackoffs)
      this.release(hand.all().filter((inHand) => leaving.has(inHand.delivery) && isHeld(inHand)))
    })
  }

  /** Why nothing is received at the moment, or a verdict could not be carried out yet; an operator sees it in `health()`. */
  get error(): MessagingError | undefined {
    return this.#fetches.error ?? this.#settlements.error ?? this.#leases.error
  }

  /** See `Fetches.stall`. */
  receiveStall(): MessagingError | undefined {
    return this.#fetches.stall()
  }

  /** How many verdicts could not be carried out yet. */
  get unsettled(): number {
    return this.#settlements.failing
  }

  /** Receives while there is room, until the signal fires. Rejects when the subscription is broken. */
  async receive(signal: AbortSignal, accept: (inHand: DeliveryInHand) => void): Promise<void> {
    const { topic, group, clock } = this.#settings
    const onAbort = () => {
      this.#fetches.interrupt()
      this.#hand.wake()
    }
    signal.addEventListener('abort', onAbort)
    try {
      let asked: Promise<readonly Delivery[]> | undefined
      while (asked !== undefined || !signal.aborted) {
        asked ??= this.#ask(signal)
        if (asked === undefined) {
          this.throwIfSpent()
          await this.#hand.changed()
          continue
        }
        const deliveries = await asked
        const now = clock.monotonic()
        const receipt = { topic, group, receivedAt: clock.now(), since: now }
        const received = deliveries.map((delivery) => new DeliveryInHand(delivery, receipt, this.#hand))
        if (received.length > 0) {
          this.receivedAny = true
          this.#loopWatch.start()
        }
        this.#prefetch.add(received.length, now)
        this.#resize()
        // Before these are looked at, so that the broker works meanwhile.
        asked = this.#ask(signal)
        for (const inHand of received) accept(inHand)
        this.#fetches.taken()
        this.#returning.fetched()
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Undefined when there is no room, keys are on their way back, or the signal has fired. */
  #ask(signal: AbortSignal): Promise<readonly Delivery[]> | undefined {
    const { size } = this.#prefetch
    const room = this.#size - this.#hand.occupied
    if (room <= 0 || signal.aborted || this.#isSpent || this.#returning.holdFetch) return undefined
    return this.#fetches.fetch(Math.min(room, Math.ceil(size * largestShare)))
  }

  /** How many may be held now. */
  get #size(): number {
    return this.#prefetch.size + Math.min(this.#settlements.failing, this.#settings.allowance)
  }

  #resize(): void {
    const size = this.#size
    if (size === this.#toldSize) return
    this.#toldSize = size
    this.#subscription.resize?.(size)
  }

  /** False when its key is on its way back to the group: it goes back too, after what went before. */
  admit(inHand: DeliveryInHand): boolean {
    const { laneKey } = inHand
    if (this.#isSpent) {
      this.#leaveUnsettled(inHand)
      return false
    }
    if (laneKey === undefined || !this.#returning.has(laneKey)) return true
    this.#returning.add(laneKey, [inHand])
    return false
  }

  /** Hands the verdict over, once; `settled` is called when it is durable. */
  settle(inHand: DeliveryInHand, verdict: Verdict, settled?: () => void): void {
    if (inHand.ended) {
      this.#rememberIfHandled(inHand)
      return
    }
    // The timer may be late, after the process was stopped for example: somebody else may have it by now.
    if (this.#leases.isExpired(inHand, this.#settings.clock.monotonic())) {
      this.#lose([inHand], 'Its lease ran out before its verdict was given')
    } else if (verdict.kind === 'release') {
      inHand.isForOthers = verdict.toOthers === true
      this.release([inHand])
    } else this.#giveVerdict(inHand, verdict, settled)
  }

  // Its ack is lost, or was never given because the delivery had gone before.
  #rememberIfHandled(inHand: DeliveryInHand): void {
    if (inHand.isHandled) this.#settings.handledInVain.add(inHand)
  }

  /** Gives all of them back, and with each what waits behind it of its key. */
  release(all: readonly DeliveryInHand[]): void {
    const keys = new Map<string, DeliveryInHand[]>()
    for (const inHand of all) {
      if (inHand.ended) continue
      const { laneKey } = inHand
      if (laneKey === undefined) this.#giveVerdict(inHand, { kind: 'release' })
      else keys.set(laneKey, [...(keys.get(laneKey) ?? []), inHand])
    }
    if (keys.size > 0) this.#giveKeysBack(keys)
  }

  #giveVerdict(inHand: DeliveryInHand, verdict: Verdict, settled?: () => void): void {
    if (verdict.kind === 'release') this.#hand.released += 1
    if (verdict.kind === 'release' && !this.#settings.releases) {
      this.#leaveUnsettled(inHand)
      return
    }
    inHand.end(this.#settings.clock.monotonic())
    this.#settlements.add(inHand, verdict, settled)
  }

  // What arrives now goes back too, or it would overtake the rest.
  #leaveUnsettled(inHand: DeliveryInHand): void {
    this.#isSpent = true
    inHand.lose(new MessagingError('stale', 'It was given back'), this.#settings.clock.monotonic())
    this.#fetches.interrupt()
    this.#hand.wake()
  }

  /** Once all else in hand is through, the subscription has to end, so that what was given back reaches the group. */
  throwIfSpent(): void {
    if (!this.#isSpent || this.#hand.size > 0) return
    const why =
      'The driver cannot release: the subscription ends, so that what was given back reaches the group'
    throw new MessagingError('closed', why, { retryable: true })
  }

  // What goes back to the group comes again behind all that is here of its key. To keep the order, that has to go back
  // too, and then comes again after it.
  #giveKeysBack(heads: ReadonlyMap<string, readonly DeliveryInHand[]>): void {
    const going = new Map<string, Set<DeliveryInHand>>()
    for (const [key, first] of heads) going.set(key, new Set(first))
    for (const inHand of this.#hand.all()) {
      const { laneKey, state } = inHand
      if (laneKey !== undefined && state === 'waiting') going.get(laneKey)?.add(inHand)
    }
    for (const [key, deliveries] of going) this.#returning.add(key, [...deliveries])
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
    this.#loopWatch.close()
    // Before it is closed, which may take its time: no handler is to start for what the group gets back.
    this.#lose(this.#hand.all(), 'The subscription ended')
    try {
      await this.#subscription.close()
    } catch (error) {
      this.#report('closing the subscription', toMessagingError(error, 'Closing failed'))
    }
  }

  // A lease that runs out gives the delivery back, and counts as a crash, like a handler that hangs. What has no lease
  // must be given back, and so must what has a key: if it came with its lease's end, what follows it would come before.
  #letGo(overdue: readonly DeliveryInHand[]): void {
    const why = 'It was in hand for longer than maxLease'
    const hasLease = this.#subscription.leaseMs !== undefined
    const ending = overdue.filter(({ laneKey }) => hasLease && laneKey === undefined)
    this.#lose(ending, why)
    for (const inHand of overdue) {
      if (inHand.ended) continue
      inHand.abort(new MessagingError('stale', why))
      this.#settings.emit('lost', inHand.info)
      this.release([inHand])
    }
  }

  #lose(lost: readonly DeliveryInHand[], why: string): void {
    const keys = new Map<string, readonly DeliveryInHand[]>()
    for (const inHand of lost) {
      if (inHand.isSettled) continue
      this.#settlements.forget(inHand)
      inHand.lose(new MessagingError('stale', why), this.#settings.clock.monotonic())
      this.#rememberIfHandled(inHand)
      this.#settings.emit('lost', inHand.info)
      if (inHand.laneKey !== undefined) keys.set(inHand.laneKey, [])
    }
    if (this.#closed) return
    if (keys.size > 0) this.#giveKeysBack(keys)
    for (const inHand of lost) this.#returning.left(inHand)
  }

  #report(what: string, error: MessagingError): void {
    if (this.#closed) return
    const { topic, group, emit } = this.#settings
    emit('failure', { what: `${what}, topic ${topic}, group ${group}`, error })
  }
}
