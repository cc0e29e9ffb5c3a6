import {
  type Clock,
  type Delivery,
  MessagingError,
  type Outcome,
  type Settlement,
  type Subscription,
} from '@waybill/core/driver'
import { isStaleReceipt } from '../errors.ts'
import type { Options } from '../options.ts'
import type { Queue } from '../sending/queue.ts'
import { carryOut, giveBack, type OpenSettlement } from '../settling/settlement.ts'
import { SqsDelivery } from '../wire/delivery.ts'
import { type Received, remainingDelay, splitDelay } from '../wire/messages.ts'

/** The service began to count a lease a little before we had its answer. */
const answerMs = 1000

/** The most messages one receive gives (Amazon SQS API Reference, ReceiveMessage, MaxNumberOfMessages). */
const mostReceived = 10

export interface SubscriptionContext {
  readonly queue: Queue
  readonly deadLetters: Queue
  readonly options: Options
  readonly clock: Clock
  readonly leaseMs: number
  /** Told of every receive that is under way: closing the driver waits for them. */
  readonly watch: (poll: Promise<void>) => void
  readonly closed: () => void
}

const leaseOver = new MessagingError('stale', 'The lease was over before the verdict could be carried out')

/** Receives by long polls, as many at once as there is to fetch and core has room for. */
export class SqsSubscription implements Subscription {
  readonly leaseMs: number
  readonly #context: SubscriptionContext
  readonly #inHand = new Set<SqsDelivery>()
  #arrived: SqsDelivery[] = []
  #polls = 0
  /** How many messages the polls under way may bring. */
  #expected = 0
  /** How many polls are worth having: more after full answers, one after an empty one. */
  #worthwhile = 1
  #signal: AbortSignal | undefined
  #failure: unknown
  #wake: (() => void) | undefined
  #lost: (deliveries: readonly Delivery[]) => void = () => {}
  #isClosed = false

  constructor(context: SubscriptionContext) {
    this.#context = context
    this.leaseMs = context.leaseMs
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    this.#signal = signal
    this.#refuseIfOver()
    if (!signal.aborted) this.#poll(max - this.#arrived.length)
    if (this.#arrived.length === 0 && !signal.aborted) {
      await this.#something(signal)
      this.#refuseIfOver()
    }
    return this.#arrived.splice(0, max)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const { queue, deadLetters, clock, options } = this.#context
    const now = clock.now()
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
    const failures = await carryOut(open, { queue, deadLetters, longestDelayMs: options.limits.delayMs })
    return settlements.map(({ delivery }): Outcome => {
      if (!this.#isOurs(delivery)) return { ok: true }
      delivery.isSettling = false
      const error = failures.get(delivery)
      if (error !== undefined) return { ok: false, error }
      this.#inHand.delete(delivery)
      return late.has(delivery) ? { ok: false, error: leaseOver } : { ok: true }
    })
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    const { queue, clock, options } = this.#context
    const now = clock.now()
    const lost: SqsDelivery[] = []
    const changes: { delivery: SqsDelivery; receipt: string; seconds: number }[] = []
    for (const delivery of deliveries) {
      if (!this.#isOurs(delivery)) continue
      const leftMs = delivery.receivedAt + options.limits.visibilityMs - answerMs - now
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
    for (const delivery of lost) this.#inHand.delete(delivery)
    if (lost.length > 0) this.#lost(lost)
    if (failure !== undefined) throw failure
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#lost = listener
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#wake?.()
    const rest = [...this.#inHand]
    this.#inHand.clear()
    // What cannot be given back comes back when its lease is over.
    await giveBack(rest, this.#context.queue)
    this.#context.closed()
  }

  #isOurs(delivery: Delivery): delivery is SqsDelivery {
    return delivery instanceof SqsDelivery && this.#inHand.has(delivery)
  }

  #refuseIfOver(): void {
    if (this.#isClosed)
      throw new MessagingError('closed', `The subscription to queue ${this.#context.queue.name} is closed`)
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
  }

  #something(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake = undefined
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wake = wake
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  /** Starts polls for the room that core has and no poll under way may fill. */
  #poll(wanted: number): void {
    for (
      let room = wanted - this.#expected;
      this.#polls < this.#worthwhile && room > 0;
      room -= mostReceived
    ) {
      // While others are under way, a few more messages are not worth a request.
      if (this.#polls > 0 && room < mostReceived) return
      this.#context.watch(this.#receiveOnce(Math.min(room, mostReceived)))
    }
  }

  /** One poll from start to end. It is never cut off: what SQS gave it meanwhile would stay hidden for a lease. */
  async #receiveOnce(most: number): Promise<void> {
    const { queue, options } = this.#context
    this.#polls += 1
    this.#expected += most
    try {
      const received = await queue.receive(most, this.leaseMs, options.pollWait)
      if (received.length === most) this.#worthwhile = Math.min(this.#worthwhile * 2, options.maxPolls)
      else if (received.length === 0) this.#worthwhile = 1
      await this.#take(received)
    } catch (error) {
      this.#failure = error
    } finally {
      this.#polls -= 1
      this.#expected -= most
      if (this.#arrived.length > 0 || this.#failure !== undefined || this.#polls === 0) this.#wake?.()
    }
  }

  async #take(received: readonly Received[]): Promise<void> {
    const { queue, clock } = this.#context
    const now = clock.now()
    const early: Received[] = []
    const arrived: SqsDelivery[] = []
    for (const each of received) {
      if (remainingDelay(each, now) > 0) early.push(each)
      else arrived.push(new SqsDelivery(each, now, this.leaseMs))
    }
    if (this.#isClosed || this.#signal?.aborted) await giveBack(arrived, queue)
    else {
      for (const delivery of arrived) this.#inHand.add(delivery)
      this.#arrived.push(...arrived)
      if (arrived.length > 0) this.#wake?.()
    }
    if (early.length > 0) await this.#postpone(early, now)
  }

  /**
   * Sends messages on their way again until their time has come; on FIFO queues they wait where they are. What fails
   * stays hidden until its lease is over, and is tried again then.
   */
  async #postpone(early: readonly Received[], now: number): Promise<void> {
    const { queue, options } = this.#context
    const { delayMs: longestMs, visibilityMs } = options.limits
    if (queue.isFifo) {
      const secondsOf = (each: Received) =>
        Math.ceil(Math.min(remainingDelay(each, now), visibilityMs - 1000) / 1000)
      await queue.hide(early.map((each) => ({ receipt: each.receipt, seconds: secondsOf(each) })))
      return
    }
    const results = await queue.sender.send(
      early.map((each) => {
        const { body, contentType, headers } = each
        const { seconds, carriedMs } = splitDelay(remainingDelay(each, now), longestMs)
        return { body, contentType, headers, delayMs: carriedMs, delaySeconds: seconds }
      }),
    )
    await queue.delete(early.flatMap(({ receipt }, index) => (results[index] === undefined ? [receipt] : [])))
  }
}
