import {
  type Clock,
  type Delivery,
  MessagingError,
  type Outcome,
  type Settlement,
  type Subscription,
  sleep,
  toMessagingError,
} from '@waybill/core/driver'
import { Change, done } from '@waybill/core/driver-kit'
import type { Queue } from '../connection/queue.ts'
import { isStaleReceipt } from '../errors.ts'
import type { SqsSettings } from '../options.ts'
import { sendAll } from '../sending/sender.ts'
import { carryOut, giveBack, type OpenSettlement } from '../settling/settlement.ts'
import { SqsDelivery } from '../wire/delivery.ts'
import { type Received, remainingDelay, splitDelay } from '../wire/messages.ts'
import { ArrivalClock } from './arrival-clock.ts'
import { sortByTime } from './sort-by-time.ts'

/** The service began to count a lease a little before we had its answer. */
const answerMs = 1000

/** Handlers that began together end one after the other within this time. */
const burstMs = 5

/** The most messages one request carries (Amazon SQS API Reference, ReceiveMessage and DeleteMessageBatch). */
const mostAtOnce = 10

export interface SubscriptionContext {
  readonly queue: Queue
  readonly deadLetters: Queue
  readonly settings: SqsSettings
  readonly clock: Clock
  readonly leaseMs: number
  readonly prefetch: number
  /** Told of every receive that is under way: closing the driver waits for them. */
  readonly watch: (poll: Promise<void>) => void
  readonly closed: () => void
}

const leaseOver = new MessagingError('stale', 'The lease was over before the verdict could be carried out')

/**
 * Receives by long polls, as many at once as there is to fetch and core has room for. Requests are what SQS charges for, so
 * while it is busy a poll waits a moment for more room, and so do verdicts for each other.
 */
export class SqsSubscription implements Subscription {
  readonly leaseMs: number
  readonly settlesAtOnce: number
  readonly #context: SubscriptionContext
  /** Received and unsettled, whether core has it yet or not. */
  readonly #inHand = new Set<SqsDelivery>()
  readonly #change = new Change()
  readonly #arrivals: ArrivalClock
  #arrived: SqsDelivery[] = []
  #prefetch: number
  #polls = 0
  /** How many messages the polls under way may bring. */
  #expected = 0
  /** How many polls to run in parallel: more after full answers, one after an empty one. */
  #worthwhile = 1
  /** Since when there has been some room, but too little to be worth a poll. */
  #roomSince: number | undefined
  #cancelLook: () => void = () => {}
  /** What is settled together next. */
  #gathered: Settlement[] = []
  #gathering: Promise<readonly Outcome[]> | undefined
  readonly #enough = new Change()
  #settledAt = Number.NEGATIVE_INFINITY
  #signal: AbortSignal | undefined
  #failure: MessagingError | undefined
  #lost: (deliveries: readonly Delivery[]) => void = () => {}
  #isClosed = false

  constructor(context: SubscriptionContext) {
    this.#context = context
    this.#prefetch = context.prefetch
    this.#arrivals = new ArrivalClock(context.clock)
    this.leaseMs = context.leaseMs
    this.settlesAtOnce = context.queue.isFifo ? 1 : mostAtOnce
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    this.#signal = signal
    this.#refuseIfOver()
    while (!signal.aborted) {
      this.#forgetExpired()
      this.#poll(max)
      if (this.#arrived.length > 0) break
      await this.#change.next(signal)
      this.#refuseIfOver()
    }
    this.#forgetExpired()
    const deliveries = this.#arrived.splice(0, max)
    // Core may not ask for the rest for a while.
    if (signal.aborted) await this.#return(this.#arrived.splice(0))
    return deliveries
  }

  async settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const first = this.#gathered.length
    this.#gathered.push(...settlements)
    this.#gathering ??= this.#settleGathered(signal)
    if (this.#gathered.length >= this.#worthwhileCount) this.#enough.notify()
    const outcomes = await this.#gathering
    return outcomes.slice(first, first + settlements.length)
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    const { queue, clock, settings } = this.#context
    const now = clock.monotonic()
    const lost: SqsDelivery[] = []
    const changes: { delivery: SqsDelivery; receipt: string; seconds: number }[] = []
    // What core has not asked for yet it cannot name.
    for (const delivery of [...deliveries, ...this.#arrived]) {
      if (!this.#isOurs(delivery)) continue
      const leftMs = delivery.receivedAt + settings.limits.visibilityMs - answerMs - now
      const seconds = Math.min(Math.ceil(leaseMs / 1000), Math.floor(leftMs / 1000))
      if (seconds > 0) changes.push({ delivery, receipt: delivery.receipt, seconds })
      else lost.push(delivery)
    }
    const results = await queue.hide(changes)
    let failure: MessagingError | undefined
    for (const [index, { delivery, seconds }] of changes.entries()) {
      const result = results[index]
      if (result === undefined) delivery.expiresAt = now + seconds * 1000
      else if (result.failure === undefined || !isStaleReceipt(result.failure)) failure = result.error
      // What is being settled may just have been deleted: its verdict says what became of it.
      else if (this.#isOurs(delivery) && !delivery.isSettling) lost.push(delivery)
    }
    this.#lose(lost)
    if (failure !== undefined) throw failure
  }

  resize(prefetch: number): void {
    this.#prefetch = prefetch
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#lost = listener
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelLook()
    this.#change.notify()
    this.#arrived = []
    this.#forgetExpired()
    // What cannot be given back comes back when its lease is over, and so does what is being settled, if it fails: a copy of that
    // would come although it was acked. On FIFO queues nothing is copied, and what follows of its key waits.
    const { isFifo } = this.#context.queue
    await this.#return([...this.#inHand].filter(({ isSettling }) => isFifo || !isSettling))
    this.#inHand.clear()
    this.#context.closed()
  }

  #isOurs(delivery: Delivery): delivery is SqsDelivery {
    return delivery instanceof SqsDelivery && this.#inHand.has(delivery)
  }

  #lose(lost: readonly SqsDelivery[]): void {
    if (lost.length === 0) return
    for (const delivery of lost) this.#inHand.delete(delivery)
    this.#arrived = this.#arrived.filter((delivery) => this.#inHand.has(delivery))
    this.#lost(lost)
    this.#change.notify()
  }

  /** What nobody renewed, after the event loop stood still for example, is no longer ours and takes no room. */
  #forgetExpired(): void {
    const now = this.#context.clock.monotonic()
    this.#lose([...this.#inHand].filter(({ expiresAt, isSettling }) => expiresAt <= now && !isSettling))
  }

  #refuseIfOver(): void {
    if (this.#isClosed)
      throw new MessagingError('closed', `The subscription to queue ${this.#context.queue.name} is closed`)
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
  }

  async #settleGathered(signal: AbortSignal | undefined): Promise<readonly Outcome[]> {
    await this.#gather(signal)
    const settlements = this.#gathered
    this.#gathered = []
    this.#gathering = undefined
    this.#settledAt = this.#context.clock.monotonic()
    return await this.#settleNow(settlements, signal)
  }

  /**
   * Verdicts that come one by one, shortly after each other, go together, as long as others may come. On FIFO queues they do not
   * wait, because the next message of their key does.
   */
  async #gather(signal: AbortSignal | undefined): Promise<void> {
    const { queue, clock, settings } = this.#context
    const count = this.#gathered.length
    const isAlone = count >= this.#worthwhileCount || count >= this.#inHand.size
    if (queue.isFifo || this.#isClosed || isAlone) return
    const waitMs = Math.max(
      Math.min(burstMs, settings.gather),
      this.#settledAt + settings.gather - clock.monotonic(),
    )
    const over = new AbortController()
    const ended = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal])
    await Promise.race([sleep(clock, waitMs, ended), this.#enough.next(ended)])
    over.abort()
  }

  async #settleNow(
    settlements: readonly Settlement[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Outcome[]> {
    const { queue, deadLetters, clock, settings } = this.#context
    const now = clock.monotonic()
    const open: OpenSettlement[] = []
    const late = new Set<Delivery>()
    for (const { delivery, verdict } of settlements) {
      if (!this.#isOurs(delivery)) continue
      // Once the lease is over the message may be somebody else's, and a late verdict must not touch it.
      if (delivery.expiresAt <= now) late.add(delivery)
      else {
        delivery.isSettling = true
        open.push({ delivery, verdict })
      }
    }
    const { delayMs: longestDelayMs, visibilityMs: longestLeaseMs } = settings.limits
    const failures = await carryOut(open, { queue, deadLetters, longestDelayMs, longestLeaseMs, signal })
    const outcomes = settlements.map(({ delivery }): Outcome => {
      if (!this.#isOurs(delivery)) return done
      delivery.isSettling = false
      const error = failures.get(delivery)
      if (error !== undefined) return { ok: false, error }
      this.#inHand.delete(delivery)
      return late.has(delivery) ? { ok: false, error: leaseOver } : done
    })
    this.#change.notify()
    return outcomes
  }

  async #return(deliveries: readonly SqsDelivery[]): Promise<void> {
    for (const delivery of deliveries) this.#inHand.delete(delivery)
    await giveBack(deliveries, this.#context.queue)
  }

  /** Starts polls for the room there is and no poll under way may fill; `max` is the least that core asks for. */
  #poll(max: number): void {
    const { watch } = this.#context
    for (;;) {
      const room = Math.max(this.#prefetch - this.#inHand.size, max - this.#arrived.length) - this.#expected
      if (room <= 0 || this.#polls >= this.#worthwhile) return
      if (this.#polls > 0 && room < mostAtOnce) return
      if (room < this.#worthwhileCount && !this.#isWorthPolling()) return
      this.#roomSince = undefined
      watch(this.#receiveOnce(Math.min(room, mostAtOnce)))
    }
  }

  /** What is worth a request at once: a consumer that holds few messages would otherwise wait with nothing left to handle. */
  get #worthwhileCount(): number {
    return Math.min(mostAtOnce, Math.ceil(this.#prefetch / 2))
  }

  /** A little room waits to become more, while there is something in hand that will make it so. */
  #isWorthPolling(): boolean {
    const { clock, settings } = this.#context
    if (this.#inHand.size === 0 || settings.gather === 0) return true
    const now = clock.monotonic()
    this.#roomSince ??= now
    const waitMs = this.#roomSince + settings.gather - now
    this.#cancelLook()
    if (waitMs > 0) this.#cancelLook = clock.after(waitMs, () => this.#change.notify(), { background: true })
    return waitMs <= 0
  }

  /** One poll from start to end. It is never cut off: what SQS had already handed to it would stay hidden for a lease. */
  async #receiveOnce(most: number): Promise<void> {
    const { queue, settings } = this.#context
    this.#polls += 1
    this.#expected += most
    this.#arrivals.start()
    try {
      const received = await queue.receive(most, this.leaseMs, settings.pollWait)
      if (received.length === most) this.#worthwhile = Math.min(this.#worthwhile * 2, settings.maxPolls)
      else if (received.length === 0) this.#worthwhile = 1
      await this.#take(received)
    } catch (thrown) {
      this.#failure = asReceiveError(toMessagingError(thrown, `Receiving from queue ${queue.name}`))
    } finally {
      this.#arrivals.stop()
      this.#polls -= 1
      this.#expected -= most
      if (this.#arrived.length > 0 || this.#failure !== undefined || this.#polls === 0) this.#change.notify()
    }
  }

  async #take(received: readonly Received[]): Promise<void> {
    const { queue } = this.#context
    const now = this.#arrivals.now()
    const serviceNow = queue.now()
    const { due, early, behind } = sortByTime(received, serviceNow)
    const arrived = due.map((each) => new SqsDelivery(each, now, this.leaseMs))
    if (this.#isClosed || this.#signal?.aborted) await giveBack(arrived, queue)
    else {
      for (const delivery of arrived) this.#inHand.add(delivery)
      this.#arrived.push(...arrived)
      if (arrived.length > 0) this.#change.notify()
    }
    if (early.length > 0) await this.#postpone(early, behind, serviceNow)
  }

  /**
   * Sends messages on their way again until their time has come; on FIFO queues they wait where they are, and hold their
   * key. What fails stays hidden until its lease is over, and is tried again then.
   */
  async #postpone(early: readonly Received[], behind: readonly Received[], now: number): Promise<void> {
    const { queue, settings } = this.#context
    const { delayMs: longestMs, visibilityMs } = settings.limits
    if (queue.isFifo) {
      const secondsOf = (each: Received) =>
        Math.ceil(Math.min(remainingDelay(each, now), visibilityMs - 1000) / 1000)
      await queue.hide(early.map((each) => ({ receipt: each.receipt, seconds: secondsOf(each) })))
      // Last first, as with all that goes back. None is received before what is early of its key.
      await queue.hide(behind.toReversed().map(({ receipt }) => ({ receipt, seconds: 0 })))
      return
    }
    const results = await sendAll(
      queue,
      early.map((each) => {
        const { body, contentType, headers, key } = each
        const { seconds, carriedMs } = splitDelay(remainingDelay(each, now), longestMs)
        return { body, contentType, headers, key, delayMs: carriedMs, delaySeconds: seconds }
      }),
    )
    await queue.delete(early.flatMap(({ receipt }, index) => (results[index] === undefined ? [receipt] : [])))
  }
}

/** Receipts outlive whatever is wrong with a receive; only a queue that is gone ends the subscription. */
function asReceiveError(error: MessagingError): MessagingError {
  const retryable = error.code !== 'topology-missing'
  if (error.retryable === retryable) return error
  return new MessagingError(error.code, error.message, { retryable, cause: error.cause })
}
