import { attemptOf, type Delivery } from '@waybill/core/driver'
import type { Past, Received } from './messages.ts'

/** A message in hand. */
export class SqsDelivery implements Delivery {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly deliveries: number
  /**
   * SQS counts crashes and releases together. On standard queues what is given back goes as a copy, so all that is left are
   * crashes. On FIFO queues, where a copy would lose its place, none is certain.
   */
  readonly crashes: number
  readonly timestamp: number
  readonly key: string | undefined
  readonly transportId: string
  readonly receipt: string
  readonly receivedAt: number
  expiresAt: number
  /** Its verdict is on the way. */
  isSettling = false
  /** Its copy is durable, only the original is left to be deleted. */
  isCopied = false

  constructor(received: Received, receivedAt: number, leaseMs: number) {
    const { past = { deliveries: 0, crashes: 0 }, receives } = received
    this.body = received.body
    this.contentType = received.contentType
    this.headers = received.headers
    this.attempt = attemptOf(received.headers)
    this.deliveries = past.deliveries + receives
    this.crashes = received.groupId === undefined ? past.crashes + receives - 1 : 0
    this.timestamp = received.sentAt
    this.key = received.key
    this.transportId = received.id
    this.receipt = received.receipt
    this.receivedAt = receivedAt
    this.expiresAt = receivedAt + leaseMs
  }

  /** What a copy carries on that is given back. */
  get past(): Past {
    return { deliveries: this.deliveries, crashes: this.crashes }
  }
}
