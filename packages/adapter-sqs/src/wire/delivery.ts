import { attemptOf, type Delivery } from '@waybill/core/driver'
import type { Received } from './messages.ts'

/** A message in hand. */
export class SqsDelivery implements Delivery {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly deliveries: number
  readonly key: string | undefined
  readonly receipt: string
  readonly receivedAt: number
  expiresAt: number
  /** Its verdict is on the way. */
  isSettling = false
  /** Its copy is durable, only the original is left to be deleted. */
  isCopied = false

  constructor(received: Received, receivedAt: number, leaseMs: number) {
    this.body = received.body
    this.contentType = received.contentType
    this.headers = received.headers
    this.attempt = attemptOf(received.headers)
    this.deliveries = received.deliveries
    this.key = received.key
    this.receipt = received.receipt
    this.receivedAt = receivedAt
    this.expiresAt = receivedAt + leaseMs
  }
}
