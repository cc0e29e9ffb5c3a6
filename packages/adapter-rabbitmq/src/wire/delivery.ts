import type { Delivery } from '@waybill/core/driver'
import type { AmqpMessage } from './amqp.ts'
import type { Incoming } from './messages.ts'

type Carried = Pick<Incoming, 'body' | 'contentType' | 'headers' | 'attempt' | 'deliveries' | 'crashes'> &
  Pick<Delivery, 'timestamp' | 'transportId' | 'subject'>

/** A delivery and what is needed to settle it. */
export class RabbitmqDelivery implements Delivery {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly deliveries: number
  readonly crashes: number
  readonly timestamp: number | undefined
  readonly transportId: string | undefined
  readonly subject: string | undefined
  readonly key = undefined
  readonly source: AmqpMessage
  readonly tag: number
  /** Which of the group's queues it came from. */
  readonly partition: number
  /** Set while its verdict is on its way, and after that. */
  settled = false

  constructor(source: AmqpMessage, incoming: Carried, partition: number) {
    this.body = incoming.body
    this.contentType = incoming.contentType
    this.headers = incoming.headers
    this.attempt = incoming.attempt
    this.deliveries = incoming.deliveries
    this.crashes = incoming.crashes
    this.timestamp = incoming.timestamp
    this.transportId = incoming.transportId
    this.subject = incoming.subject
    this.source = source
    this.tag = source.fields.deliveryTag
    this.partition = partition
  }

  get isRedelivered(): boolean {
    return this.source.fields.redelivered
  }

  /** The same message, handed out once more. */
  again(): RabbitmqDelivery {
    return new RabbitmqDelivery(this.source, { ...this, deliveries: this.deliveries + 1 }, this.partition)
  }
}
