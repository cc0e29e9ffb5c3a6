import type { Delivery } from '@waybill/core/driver'
import type { ConsumeMessage } from 'amqplib'
import type { Incoming } from './messages.ts'

/** A delivery and what is needed to settle it. */
export class RabbitmqDelivery implements Delivery {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly deliveries: number
  readonly key = undefined
  readonly source: ConsumeMessage
  readonly tag: number
  /** Which of the group's queues it came from. */
  readonly partition: number
  /** Set while its verdict is on its way, and after that. */
  settled = false

  constructor(source: ConsumeMessage, incoming: Omit<Incoming, 'remainingMs'>, partition: number) {
    this.body = incoming.body
    this.contentType = incoming.contentType
    this.headers = incoming.headers
    this.attempt = incoming.attempt
    this.deliveries = incoming.deliveries
    this.source = source
    this.tag = source.fields.deliveryTag
    this.partition = partition
  }

  /** The same message, handed out once more. */
  again(): RabbitmqDelivery {
    return new RabbitmqDelivery(this.source, { ...this, deliveries: this.deliveries + 1 }, this.partition)
  }
}
