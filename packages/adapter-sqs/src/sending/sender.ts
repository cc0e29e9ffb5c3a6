import { type Content, type Encoded, encode, type FifoPlace } from '../wire/messages.ts'
import { type BatchAnswer, type ItemResult, inBatches } from './batches.ts'
import { KeyOrder } from './key-order.ts'

/** What goes into a queue or topic. */
export interface Outgoing extends Content {
  /** On FIFO queues and topics. */
  readonly fifo?: FifoPlace | undefined
  /** Whole seconds, on standard queues. */
  readonly delaySeconds?: number
}

/** A message of a batch, its place there as the entry's id. */
export interface Entry extends Encoded {
  readonly id: string
  readonly outgoing: Outgoing
}

export interface SenderOptions {
  /** For people: `Sending to queue orders_billing`. */
  readonly what: string
  /** Of a message and of a batch. */
  readonly mostBytes: number
  readonly isFifo: boolean
  readonly call: (entries: readonly Entry[]) => Promise<BatchAnswer>
}

/** Sends messages in batches, many at once, but never two that hold messages of one group. */
export class Sender {
  readonly #options: SenderOptions
  readonly #order = new KeyOrder()

  constructor(options: SenderOptions) {
    this.#options = options
  }

  /** Result i belongs to message i; it never rejects. */
  async send(messages: readonly Outgoing[]): Promise<ItemResult[]> {
    const results = await this.#send(messages, true)
    // Emulators know fewer characters than SQS itself, and what they refuse travels as Base64.
    const refused = [...messages.entries()].filter(
      ([index]) => results[index]?.failure?.Code === 'InvalidMessageContents',
    )
    if (refused.length === 0) return results
    const again = await this.#send(
      refused.map(([, outgoing]) => outgoing),
      false,
    )
    for (const [place, [index]] of refused.entries()) results[index] = again[place]
    return results
  }

  #send(messages: readonly Outgoing[], asText: boolean): Promise<ItemResult[]> {
    const { what, mostBytes, isFifo, call } = this.#options
    const encoded = messages.map((outgoing) => ({ ...encode(outgoing, asText), outgoing }))
    const groupOf = ({ outgoing }: { readonly outgoing: Outgoing }) => outgoing.fifo?.groupId ?? ''
    return inBatches(encoded, {
      what,
      size: { of: ({ bytes }) => bytes, most: mostBytes },
      keyOf: isFifo ? groupOf : undefined,
      call: (batch) => {
        const entries = batch.map((each, place) => ({ ...each, id: String(place) }))
        if (!isFifo) return call(entries)
        const isWhole = ({ Failed = [] }: BatchAnswer) => Failed.length === 0
        return this.#order.run(entries.map(groupOf), () => call(entries), isWhole)
      },
    })
  }
}
