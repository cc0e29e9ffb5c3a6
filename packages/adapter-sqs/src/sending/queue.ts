import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
} from '@aws-sdk/client-sqs'
import type { Clients } from '../connection/clients.ts'
import { isStaleReceipt } from '../errors.ts'
import { decode, type Received } from '../wire/messages.ts'
import { type ItemResult, inBatches } from './batches.ts'
import { Sender } from './sender.ts'

/** What a queue is asked for with every message (Amazon SQS API Reference, ReceiveMessage). */
const systemAttributes = [
  'ApproximateReceiveCount',
  'SentTimestamp',
  'ApproximateFirstReceiveTimestamp',
  'MessageGroupId',
] as const

/** A queue of SQS and what can be done with it, in batches, errors as ours. Methods that give results never reject. */
export class Queue {
  readonly name: string
  readonly url: string
  readonly arn: string
  readonly isFifo: boolean
  /** FIFO queues delay no single message (Amazon SQS API Reference, SendMessage, DelaySeconds). */
  readonly knowsDelays: boolean
  readonly sender: Sender
  readonly #clients: Clients

  constructor(
    clients: Clients,
    mostBytes: number,
    { name, url, arn }: { readonly name: string; readonly url: string; readonly arn: string },
  ) {
    this.#clients = clients
    this.name = name
    this.url = url
    this.arn = arn
    this.isFifo = name.endsWith('.fifo')
    this.knowsDelays = !this.isFifo
    const what = `Sending to queue ${name}`
    this.sender = new Sender({
      what,
      mostBytes,
      isFifo: this.isFifo,
      call(entries) {
        const command = new SendMessageBatchCommand({
          QueueUrl: url,
          Entries: entries.map(({ id, text, attributes, outgoing: { fifo, delaySeconds } }) => ({
            Id: id,
            MessageBody: text,
            MessageAttributes: attributes,
            MessageGroupId: fifo?.groupId,
            MessageDeduplicationId: fifo?.deduplicationId,
            DelaySeconds: delaySeconds === 0 ? undefined : delaySeconds,
          })),
        })
        return clients.call(what, (options) => clients.sqs.send(command, options))
      },
    })
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
    const { Messages = [] } = await this.#clients.call(
      `Receiving from queue ${this.name}`,
      (options) => this.#clients.sqs.send(command, options),
      waitMs,
    )
    return Messages.map(decode)
  }

  /** Deletes; what is no longer ours is left alone, which counts as done. */
  async delete(receipts: readonly string[]): Promise<ItemResult[]> {
    const what = `Deleting from queue ${this.name}`
    const results = await inBatches(receipts, {
      what,
      call: (batch) => {
        const Entries = batch.map((ReceiptHandle, place) => ({ Id: String(place), ReceiptHandle }))
        const command = new DeleteMessageBatchCommand({ QueueUrl: this.url, Entries })
        return this.#clients.call(what, (options) => this.#clients.sqs.send(command, options))
      },
    })
    return results.map((result) =>
      result?.failure !== undefined && isStaleReceipt(result.failure) ? undefined : result,
    )
  }

  /** Hides messages for so many seconds from now; 0 gives them back. Stale receipts fail, see `isStaleReceipt`. */
  hide(messages: readonly { readonly receipt: string; readonly seconds: number }[]): Promise<ItemResult[]> {
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
        return this.#clients.call(what, (options) => this.#clients.sqs.send(command, options))
      },
    })
  }

  async attributes(names: readonly QueueAttributeName[]): Promise<Partial<Record<string, string>>> {
    const command = new GetQueueAttributesCommand({ QueueUrl: this.url, AttributeNames: [...names] })
    const what = `Asking for attributes of queue ${this.name}`
    const { Attributes = {} } = await this.#clients.call(what, (options) =>
      this.#clients.sqs.send(command, options),
    )
    return Attributes
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
}
