import type { Delivery, Outcome, Settlement } from '@waybill/core/driver'
import type { Channel } from 'amqplib'
import type { Copies, CopyRequest } from '../sending/copies.ts'
import { RabbitmqDelivery } from '../wire/delivery.ts'
import type { TopicObjects } from '../wire/names.ts'
import { Acknowledgements } from './acknowledgements.ts'

const ok: Outcome = { ok: true }

/** One settlement that puts a copy somewhere; its outcome goes to `index`. */
interface Copy extends Pick<CopyRequest, 'verdict'> {
  readonly index: number
  readonly delivery: RabbitmqDelivery
}

export interface InHandParts {
  readonly channel: Channel
  readonly copies: Copies
  readonly objects: TopicObjects
  readonly group: string
  /** By partition. */
  readonly queues: readonly string[]
  /** Whether each queue has one active consumer. */
  readonly isOrdered: boolean
  /** Takes what is handed out once more. */
  readonly onAgain: (deliveries: readonly RabbitmqDelivery[]) => void
}

/** The deliveries of one channel that are not settled, and how they come to be. */
export class InHand {
  readonly #parts: InHandParts
  readonly #acknowledgements = new Acknowledgements()
  readonly #deliveries = new Set<RabbitmqDelivery>()
  /** The partitions of which something was acknowledged. */
  readonly acked = new Set<number>()

  constructor(parts: InHandParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#deliveries.size
  }

  add(delivery: RabbitmqDelivery): void {
    this.#deliveries.add(delivery)
  }

  /** Forgets them all; what has no verdict yet is returned. */
  lose(): RabbitmqDelivery[] {
    const lost = [...this.#deliveries].filter(({ settled }) => !settled)
    this.#deliveries.clear()
    return lost
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(settlements.length).fill(ok)
    const acks: RabbitmqDelivery[] = []
    const releases: RabbitmqDelivery[] = []
    const copies: Copy[] = []
    for (const [index, { delivery: theirs, verdict }] of settlements.entries()) {
      const delivery = this.#own(theirs)
      if (delivery === undefined || delivery.settled) continue
      delivery.settled = true
      switch (verdict.kind) {
        case 'ack':
          acks.push(delivery)
          break
        case 'release':
          releases.push(delivery)
          break
        case 'retry':
        case 'dead-letter':
          copies.push({ index, delivery, verdict })
          break
      }
    }
    this.#ack(acks)
    this.#release(releases)
    if (copies.length > 0) await this.#copy(copies, outcomes)
    return outcomes
  }

  /** For a message that came through a whole delay ladder and is not due yet. */
  async sendRoundAgain(delivery: RabbitmqDelivery, delayMs: number): Promise<Outcome> {
    const verdict = { kind: 'retry', delayMs, headers: delivery.headers } as const
    const [outcome] = await this.settle([{ delivery, verdict }])
    return outcome ?? ok
  }

  #own(delivery: Delivery): RabbitmqDelivery | undefined {
    return delivery instanceof RabbitmqDelivery && this.#deliveries.has(delivery) ? delivery : undefined
  }

  /** Copy first, then ack: what happens between the two duplicates, never loses. */
  async #copy(copies: readonly Copy[], outcomes: Outcome[]): Promise<void> {
    const { queues, objects, group } = this.#parts
    const requests = copies.map(({ delivery: { source, partition }, verdict }) => ({
      source,
      verdict,
      queue: queues[partition] ?? '',
      partition,
    }))
    const results = await this.#parts.copies.publish(requests, objects, group)
    const done: RabbitmqDelivery[] = []
    for (const [position, { delivery, index }] of copies.entries()) {
      const result = results[position] ?? ok
      outcomes[index] = result
      if (result.ok) done.push(delivery)
      else delivery.settled = false
    }
    this.#ack(done)
  }

  #ack(deliveries: readonly RabbitmqDelivery[]): void {
    const open = deliveries.filter((delivery) => this.#deliveries.delete(delivery))
    try {
      for (const { delivery, multiple } of this.#acknowledgements.frames(open)) {
        this.#parts.channel.ack(delivery.source, multiple)
      }
      if (this.#parts.isOrdered) for (const { partition } of open) this.acked.add(partition)
    } catch {
      // The channel has just closed: they are lost, and its `close` event tells.
    }
  }

  #release(deliveries: readonly RabbitmqDelivery[]): void {
    const open = deliveries.filter((delivery) => this.#deliveries.delete(delivery))
    if (open.length === 0) return
    if (this.#parts.isOrdered) {
      this.#handOutAgain(open)
      return
    }
    this.#acknowledgements.skip(open)
    try {
      for (const { source } of open) this.#parts.channel.nack(source, false, true)
    } catch {
      // As above.
    }
  }

  /**
   * On an ordered topic what is given back comes to this very consumer again, but after what is in hand. So it does not go:
   * it is handed out once more from here; and when the channel closes, all of it goes back in order.
   */
  #handOutAgain(deliveries: readonly RabbitmqDelivery[]): void {
    const again = deliveries.map((delivery) => delivery.again())
    for (const delivery of again) this.#deliveries.add(delivery)
    this.#parts.onAgain(again)
  }
}
