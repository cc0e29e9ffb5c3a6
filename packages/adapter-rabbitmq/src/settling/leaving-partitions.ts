import type { RabbitmqDelivery } from '../wire/delivery.ts'

/**
 * The partitions that are being handed over, each with what was released of it. Nothing of that goes back before the rest
 * of its partition is settled: what is given back one by one would come again in the order in which it went.
 */
export class LeavingPartitions {
  readonly #released = new Map<number, Set<RabbitmqDelivery>>()
  /** Partitions of which nothing else is in hand, so what was released is on its way back. */
  readonly #complete = new Set<number>()

  get any(): boolean {
    return this.#released.size > 0
  }

  has(partition: number): boolean {
    return this.#released.has(partition)
  }

  add(partition: number): void {
    if (!this.has(partition)) this.#released.set(partition, new Set())
  }

  /** False for a delivery of a partition that stays. */
  keep(delivery: RabbitmqDelivery): boolean {
    const released = this.#released.get(delivery.partition)
    if (released === undefined) return false
    delivery.settled = true
    released.add(delivery)
    return true
  }

  /** Returns once the partitions of which nothing else is in hand, each with what goes back, in order. */
  takeComplete(inHand: Iterable<RabbitmqDelivery>): ReadonlyMap<number, readonly RabbitmqDelivery[]> {
    const complete = new Set(this.#released.keys())
    for (const partition of this.#complete) complete.delete(partition)
    for (const delivery of inHand) {
      const { partition } = delivery
      if (this.#released.get(partition)?.has(delivery) === false) complete.delete(partition)
    }
    const going = new Map<number, readonly RabbitmqDelivery[]>()
    for (const partition of complete) {
      this.#complete.add(partition)
      going.set(partition, this.#take(partition))
    }
    return going
  }

  /** It has been handed over; returns what has arrived in the meantime. */
  end(partition: number): readonly RabbitmqDelivery[] {
    const late = this.#take(partition)
    this.#complete.delete(partition)
    this.#released.delete(partition)
    return late
  }

  #take(partition: number): readonly RabbitmqDelivery[] {
    const released = this.#released.get(partition) ?? []
    this.#released.set(partition, new Set())
    return [...released].sort((left, right) => left.tag - right.tag)
  }
}
