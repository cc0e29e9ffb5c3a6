import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  ListQueueTagsCommand,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
  TagQueueCommand,
} from '../client/aws-sdk.ts'
import { isStaleReceipt } from '../errors.ts'
import { decode, type Received } from '../wire/messages.ts'
import { type BatchAnswer, type ItemResult, inBatches } from './batches.ts'
import type { CallOptions, Connection } from './connection.ts'
import type { Entry } from './sns-topic.ts'

/** What a queue is asked for with every message (Amazon SQS API Reference, ReceiveMessage). */
const systemAttributes = [
  'ApproximateReceiveCount',
  'SentTimestamp',
  'ApproximateFirstReceiveTimestamp',
  'MessageGroupId',
] as const

export interface QueueAddress {
  readonly name: string
  readonly url: string
  readonly arn: string
  readonly region: string
}

/** A queue of SQS and what can be done with it, in batches, errors as ours. Methods that give results never reject. */
export class Queue {
  readonly name: string
  readonly url: string
  readonly arn: string
  readonly region: string
  readonly isFifo: boolean
  /** FIFO queues delay no single message (Amazon SQS API Reference, SendMessage, DelaySeconds). */
  readonly knowsDelays: boolean
  /** Of a message and of a batch. */
  readonly mostBytes: number
  /** For people. */
  readonly sending: string
  readonly #connection: Connection

  constructor(connection: Connection, mostBytes: number, { name, url, arn, region }: QueueAddress) {
    this.#connection = connection
    this.name = name
    this.url = url
    this.arn = arn
    this.region = region
    this.isFifo = name.endsWith('.fifo')
    this.knowsDelays = !this.isFifo
    this.mostBytes = mostBytes
    this.sending = `Sending to queue ${name}`
  }

  send(entries: readonly Entry[]): Promise<BatchAnswer> {
    const command = new SendMessageBatchCommand({
      QueueUrl: this.url,
      Entries: entries.map(({ id, text, attributes, fifo, delaySeconds }) => ({
        Id: id,
        MessageBody: text,
        MessageAttributes: attributes,
        MessageGroupId: fifo?.groupId,
        MessageDeduplicationId: fifo?.deduplicationId,
        DelaySeconds: delaySeconds === 0 ? undefined : delaySeconds,
      })),
    })
    return this.#connection.call(this.sending, (options) => this.#sqs.send(command, options))
  }

  /** Waits up to `waitMs` for up to ten messages and hides them for `leaseMs`, both in whole seconds. */
  async receive(most: number, leaseMs: number, waitMs: number): Promise<Received[]> {
    const command = new ReceiveMessageCommand({
      QueueUrl: this.url,
      MaxNumberOfMessages: Math.min(most, 10),
      VisibilityTimeout: Math.ceil(leaseMs / 1000),
      WaitTimeSeconds: Math.floor(waitMs / 1000),
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: [...systemAttributes],
    })
    const what = `Receiving from queue ${this.name}`
    const { Messages = [] } = await this.#connection.call(
      what,
      (options) => this.#sqs.send(command, options),
      {
        waitMs,
      },
    )
    return Messages.map((message) => decode(message, this.isFifo))
  }

  /** Deletes messages. Those that are no longer ours are left alone, which counts as done. */
  async delete(receipts: readonly string[], options: CallOptions = {}): Promise<ItemResult[]> {
    const what = `Deleting from queue ${this.name}`
    const results = await inBatches(receipts, {
      what,
      call: (batch) => {
        const Entries = batch.map((ReceiptHandle, place) => ({ Id: String(place), ReceiptHandle }))
        const command = new DeleteMessageBatchCommand({ QueueUrl: this.url, Entries })
        return this.#connection.call(what, (request) => this.#sqs.send(command, request), options)
      },
    })
    return results.map((result) =>
      result?.failure !== undefined && isStaleReceipt(result.failure) ? undefined : result,
    )
  }

  /** Hides messages for so many seconds from now; 0 gives them back. Stale receipts fail, see `isStaleReceipt`. */
  hide(
    messages: readonly { readonly receipt: string; readonly seconds: number }[],
    options: CallOptions = {},
  ): Promise<ItemResult[]> {
    const what = `Changing visibility in queue ${this.name}`
    return inBatches(messages, {
      what,
      call: (batch) => {
        const Entries = batch.map(({ receipt, seconds }, place) => ({
          Id: String(place),
          ReceiptHandle: receipt,
          VisibilityTimeout: seconds,
        }))
        const command = new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.url, Entries })
        return this.#connection.call(what, (request) => this.#sqs.send(command, request), options)
      },
    })
  }

  async attributes(names: readonly QueueAttributeName[]): Promise<Partial<Record<string, string>>> {
    const command = new GetQueueAttributesCommand({ QueueUrl: this.url, AttributeNames: [...names] })
    const what = `Asking for attributes of queue ${this.name}`
    const { Attributes = {} } = await this.#connection.call(what, (options) =>
      this.#sqs.send(command, options),
    )
    return Attributes
  }

  async tags(): Promise<Readonly<Record<string, string>>> {
    const command = new ListQueueTagsCommand({ QueueUrl: this.url })
    const what = `Asking for the tags of queue ${this.name}`
    const { Tags = {} } = await this.#connection.call(what, (options) => this.#sqs.send(command, options))
    return Tags
  }

  async tag(tags: Readonly<Record<string, string>>): Promise<void> {
    const command = new TagQueueCommand({ QueueUrl: this.url, Tags: tags })
    await this.#connection.call(`Tagging queue ${this.name}`, (options) => this.#sqs.send(command, options))
  }

  /** Figures of SQS are approximate, and up to a minute old (Amazon SQS API Reference, GetQueueAttributes). */
  async depths(): Promise<{ readonly waiting: number; readonly inFlight: number; readonly delayed: number }> {
    const found = await this.attributes([
      'ApproximateNumberOfMessages',
      'ApproximateNumberOfMessagesNotVisible',
      'ApproximateNumberOfMessagesDelayed',
    ])
    return {
      waiting: Number(found.ApproximateNumberOfMessages ?? 0),
      inFlight: Number(found.ApproximateNumberOfMessagesNotVisible ?? 0),
      delayed: Number(found.ApproximateNumberOfMessagesDelayed ?? 0),
    }
  }

  /** The time by the service's clock. */
  now(): number {
    return this.#connection.now()
  }

  get #sqs(): SQSClient {
    return this.#connection.clientsOf(this.region).sqs
  }
}
