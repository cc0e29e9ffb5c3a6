import type { Clock, Delivery } from '@waybill/core/driver'
import { inChunks } from '@waybill/core/driver-kit'
import type { InHand } from '../settling/in-hand.ts'
import type { RabbitmqDelivery } from '../wire/delivery.ts'
import type { Consumers } from './consumers.ts'

/** How often partitions that stand still are looked at. */
const lookMs = 500

/** How often in a row one has to stand still although messages of it wait: a delivery may be on its way. */
const enoughLooks = 2

/**
 * How many are given back at a time: of what a queue has not taken yet, more than 32 come back in any order (RabbitMQ 4.0,
 * rabbit_fifo_client).
 */
const mostReturned = 16

/** How long a partition stays after it left for others and came again; doubled each time. */
const shortestRestMs = 1000
const longestRestMs = 120_000

export interface HandoversParts {
  readonly clock: Clock
  readonly inHand: InHand
  readonly consumers: Consumers
  /** How many messages of a partition the broker sends at most before some are settled. */
  readonly prefetch: number
  /** How many messages of a partition wait at the broker. */
  readonly waiting: (partition: number) => Promise<number>
  /** Asks core to give back what it is not busy with. */
  readonly giveBack: (deliveries: readonly Delivery[]) => void
  /** Resolves when the partition's queue has taken all that was settled of it. */
  readonly untilTaken: (partition: number) => Promise<void>
}

/**
 * Lets partitions of an ordered topic go to members that rank them higher. RabbitMQ sends the former owner nothing more
 * and waits until it has settled all it has, but does not tell it. So what shows it is a partition that stands still:
 * messages wait, there is room for them, and none comes. Then core gives back what waits or backs off, handlers end, and
 * the rest goes back to the queue in its order. A mistake costs no more than that: the messages come here again.
 */
export class Handovers {
  readonly #parts: HandoversParts
  /** How often in a row each partition was seen to stand still. */
  readonly #still = new Map<number, number>()
  /** The partitions of which something came since the last look. */
  readonly #moving = new Set<number>()
  /** Those that leave because handlers for them are missing here. */
  readonly #forOthers = new Set<number>()
  /** When each partition last left for that, and how long it stays after that. */
  readonly #left = new Map<number, { readonly at: number; readonly restMs: number }>()
  #cancel: () => void = () => undefined
  #isOver = false

  constructor(parts: HandoversParts) {
    this.#parts = parts
    this.#lookLater()
  }

  /**
   * Another member may have the handler that is missing here for the head of a key. The broker does not tell whether there is
   * one, and if not, the partition comes again. Each return counts against what goes back, up to RabbitMQ 4.2 (decision 39), so
   * it goes ever more rarely.
   */
  leaveToOthers(partition: number): void {
    const { clock, inHand } = this.#parts
    if (inHand.isLeaving(partition)) return
    const now = clock.monotonic()
    const last = this.#left.get(partition)
    if (last !== undefined && now < last.at + last.restMs) return
    const isLongAgo = last === undefined || now > last.at + 2 * longestRestMs
    const restMs = isLongAgo ? shortestRestMs : Math.min(2 * last.restMs, longestRestMs)
    this.#left.set(partition, { at: now, restMs })
    this.#forOthers.add(partition)
    inHand.leave(partition)
  }

  /** A message of the partition has come. */
  arrived(partition: number): void {
    this.#moving.add(partition)
  }

  /** Lets those go of which everything is settled or released. */
  complete(): void {
    for (const [partition, released] of this.#parts.inHand.readyToLeave()) {
      // A channel that fails tells by itself.
      this.#handOver(partition, released).catch(() => undefined)
    }
  }

  close(): void {
    this.#isOver = true
    this.#cancel()
  }

  #lookLater(): void {
    if (this.#isOver) return
    // A channel that fails tells by itself, and has nothing more to hand over.
    const look = () =>
      void this.#look()
        .then(() => this.#lookLater())
        .catch(() => undefined)
    this.#cancel = this.#parts.clock.after(lookMs, look, { background: true })
  }

  async #look(): Promise<void> {
    const { inHand, prefetch, giveBack } = this.#parts
    const sizes = inHand.sizes()
    for (const partition of this.#still.keys()) {
      if (!sizes.has(partition) || this.#moving.has(partition)) this.#still.delete(partition)
    }
    const quiet = [...sizes].filter(
      ([partition, size]) => size < prefetch && !this.#moving.has(partition) && !inHand.isLeaving(partition),
    )
    this.#moving.clear()
    await Promise.all(quiet.map(([partition]) => this.#lookAt(partition)))
    const held = inHand.held()
    if (held.length > 0) giveBack(held)
    this.complete()
  }

  async #lookAt(partition: number): Promise<void> {
    const waiting = await this.#parts.waiting(partition)
    const looks = waiting > 0 && !this.#moving.has(partition) ? (this.#still.get(partition) ?? 0) + 1 : 0
    this.#still.set(partition, looks)
    if (looks < enoughLooks || this.#isOver) return
    this.#still.delete(partition)
    this.#parts.inHand.leave(partition)
  }

  async #handOver(partition: number, released: readonly RabbitmqDelivery[]): Promise<void> {
    const { inHand, consumers, untilTaken } = this.#parts
    for (const some of inChunks(released, { maxItems: mostReturned })) {
      await untilTaken(partition)
      inHand.giveBack(some)
    }
    await untilTaken(partition)
    // A queue activates the next consumer at the last acknowledgement, but not at the last return (RabbitMQ 4.0).
    await consumers.leave(partition)
    inHand.left(partition)
    await consumers.join(partition, this.#forOthers.delete(partition))
  }
}
