import { PublishBatchCommand } from '../client/aws-sdk.ts'
import type { AttributeValue, FifoPlace } from '../wire/messages.ts'
import type { BatchAnswer } from './batches.ts'
import type { Connection } from './connection.ts'

/** A message of a batch, its place there as the entry's id. */
export interface Entry {
  readonly id: string
  readonly text: string
  readonly attributes: Readonly<Record<string, AttributeValue>>
  /** On FIFO queues and topics. */
  readonly fifo: FifoPlace | undefined
  /** Whole seconds, on standard queues. */
  readonly delaySeconds: number | undefined
}

export interface SnsTopicAddress {
  readonly name: string
  readonly arn: string
  readonly region: string
}

/** A topic of SNS, which hands each message to the queues of all groups. */
export class SnsTopic {
  readonly name: string
  readonly arn: string
  readonly region: string
  readonly isFifo: boolean
  readonly knowsDelays = false
  /** Of a message and of a batch. */
  readonly mostBytes: number
  /** For people. */
  readonly sending: string
  readonly #connection: Connection

  constructor(connection: Connection, mostBytes: number, { name, arn, region }: SnsTopicAddress) {
    this.#connection = connection
    this.name = name
    this.arn = arn
    this.region = region
    this.isFifo = name.endsWith('.fifo')
    this.mostBytes = mostBytes
    this.sending = `Publishing to topic ${name}`
  }

  send(entries: readonly Entry[]): Promise<BatchAnswer> {
    const command = new PublishBatchCommand({
      TopicArn: this.arn,
      PublishBatchRequestEntries: entries.map(({ id, text, attributes, fifo }) => ({
        Id: id,
        Message: text,
        MessageAttributes: attributes,
        MessageGroupId: fifo?.groupId,
        MessageDeduplicationId: fifo?.deduplicationId,
      })),
    })
    const { sns } = this.#connection.clientsOf(this.region)
    return this.#connection.call(this.sending, (options) => sns.send(command, options))
  }
}
