import { PublishBatchCommand } from '@aws-sdk/client-sns'
import type { Clients } from '../connection/clients.ts'
import { Sender } from './sender.ts'

/** A topic of SNS that hands each message to the queues of all groups. */
export class FanOut {
  readonly name: string
  readonly arn: string
  readonly isFifo: boolean
  readonly knowsDelays = false
  readonly sender: Sender

  constructor(
    clients: Clients,
    mostBytes: number,
    { name, arn }: { readonly name: string; readonly arn: string },
  ) {
    this.name = name
    this.arn = arn
    this.isFifo = name.endsWith('.fifo')
    const what = `Publishing to topic ${name}`
    this.sender = new Sender({
      what,
      mostBytes,
      isFifo: this.isFifo,
      call(entries) {
        const command = new PublishBatchCommand({
          TopicArn: arn,
          PublishBatchRequestEntries: entries.map(({ id, text, attributes, outgoing: { fifo } }) => ({
            Id: id,
            Message: text,
            MessageAttributes: attributes,
            MessageGroupId: fifo?.groupId,
            MessageDeduplicationId: fifo?.deduplicationId,
          })),
        })
        return clients.call(what, (options) => clients.sns.send(command, options))
      },
    })
  }
}
