interface Tagged {
  /** Delivery tags count from 1 over all consumers of a channel (AMQP 0-9-1 specification, 1.8.3.13). */
  readonly tag: number
}

/** One `basic.ack`: of this delivery alone, or of everything up to it. */
export interface AckFrame<Delivery> {
  readonly delivery: Delivery
  readonly multiple: boolean
}

/** Which deliveries of a channel are settled, so that one `multiple` acknowledgement can stand for many. */
export class Acknowledgements {
  /** Every tag up to this one is settled. */
  #low = 0
  /** Settled tags above it. */
  readonly #beyond = new Set<number>()

  /** Deliveries that were settled in another way, by a negative acknowledgement. */
  skip(deliveries: readonly Tagged[]): void {
    for (const { tag } of deliveries) this.#mark(tag)
  }

  /** The fewest frames that acknowledge these deliveries and none that is open. */
  frames<Delivery extends Tagged>(deliveries: readonly Delivery[]): AckFrame<Delivery>[] {
    this.skip(deliveries)
    const frames: AckFrame<Delivery>[] = []
    let highest: Delivery | undefined
    let covered = 0
    for (const delivery of deliveries) {
      if (delivery.tag > this.#low) frames.push({ delivery, multiple: false })
      else {
        covered += 1
        if (highest === undefined || delivery.tag > highest.tag) highest = delivery
      }
    }
    // One of this very batch: the broker refuses to acknowledge up to a tag that is settled already.
    if (highest !== undefined) frames.push({ delivery: highest, multiple: covered > 1 })
    return frames
  }

  #mark(tag: number): void {
    if (tag !== this.#low + 1) {
      this.#beyond.add(tag)
      return
    }
    this.#low = tag
    while (this.#beyond.delete(this.#low + 1)) this.#low += 1
  }
}
