import type { Clock, Delivery } from '@waybill/core/driver'
import type { QueueReader } from './queue-reader.ts'

/** How often partitions that stand still are looked at. */
const lookMs = 500

/** How often in a row one has to stand still although messages of it wait: a delivery may be on its way. */
const enoughLooks = 2

/** How long a partition stays after it left for others and came again; doubled each time. */
const shortestRestMs = 1000
const longestRestMs = 120_000

export interface HandoversParts {
  readonly clock: Clock
  readonly readers: () => Iterable<QueueReader>
  /** How many messages of a partition the broker sends at most before some are settled. */
  readonly prefetch: number
  /** Asks core to give back what it is not busy with. */
  readonly giveBack: (deliveries: readonly Delivery[]) => void
  /** Gives back all of a partition and lines up for it again; behind all others, if it is left to them. */
  readonly handOver: (reader: QueueReader, isForOthers: boolean) => Promise<void>
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
  leaveToOthers({ partition, inHand }: QueueReader): void {
    if (inHand.isLeaving) return
    const now = this.#parts.clock.monotonic()
    const last = this.#left.get(partition)
    if (last !== undefined && now < last.at + last.restMs) return
    const isLongAgo = last === undefined || now > last.at + 2 * longestRestMs
    const restMs = isLongAgo ? shortestRestMs : Math.min(2 * last.restMs, longestRestMs)
    this.#left.set(partition, { at: now, restMs })
    this.#forOthers.add(partition)
    inHand.leave()
  }

  /** A message of the partition has come. */
  arrived(partition: number): void {
    this.#moving.add(partition)
  }

  /** Lets those go of which everything is settled or released. */
  complete(): void {
    for (const reader of this.#parts.readers()) {
      if (!this.#isOver && reader.inHand.takeLeave()) {
        // What fails loses the subscription, which tells.
        void this.#parts.handOver(reader, this.#forOthers.delete(reader.partition))
      }
    }
  }

  close(): void {
    this.#isOver = true
    this.#cancel()
  }

  #lookLater(): void {
    if (this.#isOver) return
    // A channel that fails tells by itself.
    const look = () =>
      void this.#look()
        .catch(() => undefined)
        .finally(() => this.#lookLater())
    this.#cancel = this.#parts.clock.after(lookMs, look, { background: true })
  }

  async #look(): Promise<void> {
    const { readers, prefetch, giveBack } = this.#parts
    const quiet: QueueReader[] = []
    for (const reader of readers()) {
      const { partition, inHand } = reader
      const isMoving = this.#moving.has(partition)
      if (inHand.size === 0 || isMoving) this.#still.delete(partition)
      else if (inHand.size < prefetch && !inHand.isLeaving) quiet.push(reader)
    }
    this.#moving.clear()
    await Promise.all(quiet.map((reader) => this.#lookAt(reader)))
    const held = [...readers()].flatMap(({ inHand }) => inHand.held())
    if (held.length > 0) giveBack(held)
    this.complete()
  }

  async #lookAt(reader: QueueReader): Promise<void> {
    const { partition, inHand } = reader
    const waiting = await reader.waiting()
    const looks = waiting > 0 && !this.#moving.has(partition) ? (this.#still.get(partition) ?? 0) + 1 : 0
    this.#still.set(partition, looks)
    if (looks < enoughLooks || this.#isOver) return
    this.#still.delete(partition)
    inHand.leave()
  }
}
