import type { Channel, ConsumeMessage } from 'amqplib'

/** Acks everything up to a delivery with one frame, once in a turn of the event loop, in whatever order handlers end. */
export class MultipleAcks {
  readonly #channel: Channel
  /** Handled, but not contiguous with what was acked yet, by delivery tag. */
  readonly #handled = new Map<number, ConsumeMessage>()
  #acked = 0
  #scheduled = false

  constructor(channel: Channel) {
    this.#channel = channel
  }

  add(message: ConsumeMessage): void {
    this.#handled.set(message.fields.deliveryTag, message)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.flush())
  }

  flush(): void {
    this.#scheduled = false
    let newest: ConsumeMessage | undefined
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      newest = next
      this.#acked += 1
      this.#handled.delete(this.#acked)
    }
    if (newest !== undefined) this.#channel.ack(newest, true)
  }

  #next(): ConsumeMessage | undefined {
    return this.#handled.get(this.#acked + 1)
  }
}
