import { type Delivery, MessagingError, type Outcome, type Settlement } from '@waybill/core/driver'
import { done, failed } from '@waybill/core/driver-kit'
import type { Channel } from '../client/amqplib.ts'
import type { Copies, CopyPurpose } from '../sending/copies.ts'
import { RabbitmqDelivery } from '../wire/delivery.ts'
import type { TopicObjects } from '../wire/names.ts'
import { Acknowledgements } from './acknowledgements.ts'
import { identityOf, type LostAcks } from './lost-acks.ts'

/**
 * What is given back as copies at most when a subscription ends, in bytes: the rest goes back as it is, which is quicker,
 * but counts as if its consumer had died.
 */
const mostReturnedBytes = 32 * 1024 * 1024

/** How long the copies may take, even where a stop has no time left: otherwise a stop would count as a crash. */
const mostReturningMs = 3000

/** Acknowledgements that the broker may not have read yet when a connection breaks. */
const mostRecentAcks = 2000

/** One settlement that puts a copy somewhere; its outcome goes to `index`. */
interface Copy {
  readonly index: number
  readonly delivery: RabbitmqDelivery
  readonly purpose: CopyPurpose
}

export interface InHandParts {
  readonly channel: Channel
  readonly copies: Copies
  readonly objects: TopicObjects
  readonly group: string
  readonly queue: string
  /** Whether the queue has one active consumer. */
  readonly isOrdered: boolean
  /** Whether the broker counts what is given back as if a consumer had died, so that it goes back as a copy instead. */
  readonly returnsAsCopies: boolean
  readonly lostAcks: LostAcks
  /** Of an ordered topic: this member has no handler for the head of one of its keys. Called before it is released. */
  readonly onForOthers: () => void
  /** Takes what is handed out once more. */
  readonly onAgain: (deliveries: readonly RabbitmqDelivery[]) => void
}

/** The unsettled deliveries of one channel, and how they are settled. */
export class InHand {
  readonly #parts: InHandParts
  readonly #acknowledgements = new Acknowledgements()
  readonly #deliveries = new Set<RabbitmqDelivery>()
  /**
   * While all goes back, what was released: it goes with the channel, once nothing else is in hand. What is given back one
   * by one would come again in the order in which it went.
   */
  #kept: Set<RabbitmqDelivery> | undefined
  #isGone = false
  #recentAcks: (string | undefined)[] = []
  #isLost = false
  /** Whether anything was acknowledged, of an ordered topic. */
  hasAcked = false

  constructor(parts: InHandParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#deliveries.size
  }

  add(delivery: RabbitmqDelivery): void {
    this.#deliveries.add(delivery)
  }

  get isLeaving(): boolean {
    return this.#kept !== undefined
  }

  /** From now on what is released is kept, until everything goes back together. */
  leave(): void {
    this.#kept ??= new Set()
  }

  /** What has no verdict, while all goes back. */
  held(): readonly RabbitmqDelivery[] {
    return this.isLeaving ? [...this.#deliveries].filter(({ settled }) => !settled) : []
  }

  /** A delivery goes back without a verdict; false unless all goes back. */
  keep(delivery: RabbitmqDelivery): boolean {
    if (this.#kept === undefined) return false
    delivery.settled = true
    this.#kept.add(delivery)
    return true
  }

  /** True once: when all goes back, and nothing is in hand but what was kept. */
  takeLeave(): boolean {
    if (this.#isGone || this.#kept === undefined || this.#kept.size < this.#deliveries.size) return false
    this.#isGone = true
    return true
  }

  /** Forgets them all; what has no verdict yet is returned. */
  lose(): RabbitmqDelivery[] {
    this.#isLost = true
    for (const identity of this.#recentAcks) {
      if (identity !== undefined) this.#parts.lostAcks.remember(identity)
    }
    this.#recentAcks = []
    const lost = [...this.#deliveries].filter(({ settled }) => !settled)
    this.#deliveries.clear()
    return lost
  }

  async settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(settlements.length).fill(done)
    const acks: RabbitmqDelivery[] = []
    const releases: RabbitmqDelivery[] = []
    const copies: Copy[] = []
    for (const [index, { delivery: theirs, verdict }] of settlements.entries()) {
      const delivery = this.#own(theirs)
      if (delivery === undefined) {
        outcomes[index] = this.#ofNoneOfOurs(theirs)
        continue
      }
      if (delivery.settled) continue
      delivery.settled = true
      switch (verdict.kind) {
        case 'ack':
          acks.push(delivery)
          break
        case 'release':
          if (verdict.toOthers) this.#parts.onForOthers()
          releases.push(delivery)
          break
        case 'retry':
        case 'dead-letter':
          copies.push({ index, delivery, purpose: verdict })
          break
      }
    }
    this.#ack(acks, true)
    const released = this.#release(releases)
    if (copies.length > 0) await this.#copy(copies, outcomes, signal)
    await released
    return outcomes
  }

  /** For a message that came through a whole delay ladder and is not due yet. */
  async sendRoundAgain(delivery: RabbitmqDelivery, delayMs: number): Promise<Outcome> {
    const verdict = { kind: 'retry', delayMs, headers: delivery.headers } as const
    const [outcome] = await this.settle([{ delivery, verdict }])
    return outcome ?? done
  }

  /**
   * For a message that a classic queue hands out again, without saying how often it has: it comes around as a copy that
   * carries the count.
   */
  async sendRoundCounted(delivery: RabbitmqDelivery): Promise<Outcome> {
    delivery.settled = true
    const counts = { deliveries: delivery.deliveries - 1, crashes: delivery.crashes + 1 }
    const purpose = { kind: 'return', headers: delivery.headers, counts } as const
    const outcomes: Outcome[] = []
    await this.#copy([{ index: 0, delivery, purpose }], outcomes)
    return outcomes[0] ?? done
  }

  /** Gives back what has no verdict. */
  async returnAll(): Promise<void> {
    const open = [...this.#deliveries].filter(({ settled }) => !settled)
    for (const delivery of open) delivery.settled = true
    let bytes = 0
    const copied = open.filter(({ source }) => {
      bytes += source.content.byteLength
      return bytes <= mostReturnedBytes
    })
    await this.#release(copied)
    this.#nack(open)
  }

  #own(delivery: Delivery): RabbitmqDelivery | undefined {
    return delivery instanceof RabbitmqDelivery && this.#deliveries.has(delivery) ? delivery : undefined
  }

  /** Settled already, or lost with the channel. */
  #ofNoneOfOurs(delivery: Delivery): Outcome {
    if (!this.#isLost || !(delivery instanceof RabbitmqDelivery) || delivery.settled) return done
    delivery.settled = true
    return failed(
      new MessagingError('stale', 'The channel was lost, and RabbitMQ has taken the message back'),
    )
  }

  /** Copy first, then ack: a failure between the two duplicates the message but never loses it. */
  async #copy(copies: readonly Copy[], outcomes: Outcome[], signal?: AbortSignal): Promise<void> {
    const { objects, group, queue } = this.#parts
    const requests = copies.map(({ delivery, purpose }) => ({
      source: delivery.source,
      purpose,
      queue,
      partition: delivery.partition,
    }))
    const published = this.#parts.copies.publish(requests, objects, group)
    const results = await (signal === undefined ? published : unlessAborted(published, signal))
    const finished: RabbitmqDelivery[] = []
    for (const [position, { delivery, index }] of copies.entries()) {
      const result = results[position] ?? failed(new MessagingError('aborted', 'Settling was given up'))
      outcomes[index] = result
      if (result.ok) finished.push(delivery)
      else delivery.settled = false
    }
    this.#ack(finished, false)
  }

  #ack(deliveries: readonly RabbitmqDelivery[], isHandled: boolean): void {
    const open = deliveries.filter((delivery) => this.#deliveries.delete(delivery))
    if (isHandled) this.#noteAcks(open)
    try {
      for (const { delivery, multiple } of this.#acknowledgements.frames(open)) {
        this.#parts.channel.ack(delivery.source, multiple)
      }
      if (this.#parts.isOrdered && open.length > 0) this.hasAcked = true
    } catch {
      // The channel has just closed: they are lost, and its `close` event tells.
    }
  }

  #noteAcks(deliveries: readonly RabbitmqDelivery[]): void {
    for (const delivery of deliveries) {
      this.#recentAcks.push(identityOf(this.#parts.queue, delivery))
    }
    if (this.#recentAcks.length > 2 * mostRecentAcks) {
      this.#recentAcks = this.#recentAcks.slice(-mostRecentAcks)
    }
  }

  async #release(deliveries: readonly RabbitmqDelivery[]): Promise<void> {
    if (deliveries.length === 0) return
    if (this.#parts.isOrdered) return this.#handOutAgain(deliveries)
    if (this.#parts.returnsAsCopies) {
      const copies = deliveries.map((delivery, index) => {
        const { deliveries: earlier, crashes, headers } = delivery
        const purpose = { kind: 'return', headers, counts: { deliveries: earlier, crashes } } as const
        return { index, delivery, purpose }
      })
      await this.#copy(copies, [], AbortSignal.timeout(mostReturningMs))
    }
    // All of them, or those that could not be copied.
    this.#nack(deliveries)
  }

  #nack(deliveries: readonly RabbitmqDelivery[]): void {
    const open = deliveries.filter((delivery) => this.#deliveries.delete(delivery))
    this.#acknowledgements.skip(open)
    try {
      for (const { source } of open) this.#parts.channel.nack(source, false, true)
    } catch {
      // As above.
    }
  }

  /**
   * On an ordered topic what is given back comes to this very consumer again, but after what is in hand. So it does not go:
   * it is handed out once more from here, unless all goes back; and when the channel closes, all of it goes back in
   * order.
   */
  #handOutAgain(deliveries: readonly RabbitmqDelivery[]): void {
    const staying = deliveries.filter((delivery) => !this.keep(delivery))
    const open = staying.filter((delivery) => this.#deliveries.delete(delivery))
    const again = open.map((delivery) => delivery.again())
    for (const delivery of again) this.#deliveries.add(delivery)
    this.#parts.onAgain(again)
  }
}

/** Nothing once the signal has fired; what becomes of the copies is then unknown, and they may be duplicates. */
function unlessAborted(
  outcomes: Promise<readonly Outcome[]>,
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve([])
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    outcomes.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
