import { PublishBatchCommand } from '@aws-sdk/client-sns'
import { type ItemResult, inBatches } from './batches.ts'
import type { Clients } from './clients.ts'
import { KeyOrder } from './key-order.ts'
import { type Outgoing, sendText } from './queue.ts'

/** A topic of SNS that hands each message to the queues of all groups. */
export class FanOut {
  readonly name: string
  readonly arn: string
  readonly isFifo: boolean
  readonly knowsDelays = false
  readonly #clients: Clients
  readonly #mostBytes: number
  readonly #order = new KeyOrder()

  constructor(clients: Clients, mostBytes: number, topic: { readonly name: string; readonly arn: string }) {
    this.#clients = clients
    this.#mostBytes = mostBytes
    this.name = topic.name
    this.arn = topic.arn
    this.isFifo = topic.name.endsWith('.fifo')
  }

  /** Never rejects. */
  send(messages: readonly Outgoing[]): Promise<ItemResult[]> {
    const what = `Publishing to topic ${this.name}`
    return sendText(messages, (prepared) =>
      inBatches(prepared, {
        what,
        size: { of: ({ bytes }) => bytes, most: this.#mostBytes },
        call: (batch) => {
          const command = new PublishBatchCommand({
            TopicArn: this.arn,
            PublishBatchRequestEntries: batch.map(({ text, attributes, outgoing: { fifo } }, place) => ({
              Id: String(place),
              Message: text,
              MessageAttributes: attributes,
              ...(fifo !== undefined && {
                MessageGroupId: fifo.groupId,
                MessageDeduplicationId: fifo.deduplicationId,
              }),
            })),
          })
          const send = () => this.#clients.call(what, (options) => this.#clients.sns.send(command, options))
          const keys = batch.flatMap(({ outgoing: { fifo } }) => fifo?.groupId ?? [])
          return keys.length === 0 ? send() : this.#order.run(keys, send)
        },
      }),
    )
  }
}
