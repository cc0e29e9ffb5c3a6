import type { Delivery, DriverContext, Outcome, Settlement, Subscription } from '@waybill/core/driver'
import { type Clock, MessagingError, type OutboundMessage, sleep } from '@waybill/core/driver'
import { decodeHeaders, encodeHeaders, noHeaders, toBuffer, usualContentType } from '../wire/messages.ts'
import type { Reader } from './reader.ts'

// Notices have the body alone as payload, which any subscriber can read; one with headers begins with a line of them.
const headersMark = 'waybill-headers: '

export function encodeNotice(message: OutboundMessage): Buffer {
  const headers = encodeHeaders(message.headers)
  const body = toBuffer(message.body)
  return headers === '' ? body : Buffer.concat([Buffer.from(`${headersMark}${headers}\n`), body])
}

export function decodeNotice(payload: Buffer): Delivery {
  const end = payload.subarray(0, headersMark.length).equals(Buffer.from(headersMark))
    ? payload.indexOf('\n')
    : -1
  const body = payload.subarray(end + 1)
  const headers = end < 0 ? noHeaders : decodeHeaders(payload.toString('utf8', headersMark.length, end))
  return { body, contentType: usualContentType, headers, attempt: 1, deliveries: 1, key: undefined }
}

// More than any consumer's prefetch: beyond it, a subscriber that cannot follow loses the newest notices.
const maxWaiting = 10_000

export interface NoticeParts {
  readonly reader: Reader
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  readonly pollIntervalMs: number
}

/** A Pub/Sub subscription: at most once, and nothing to settle. */
export class NoticeSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #parts: NoticeParts
  #waiting: Delivery[] = []
  #hasDropped = false
  #lost: MessagingError | undefined
  #arrived = new AbortController()

  private constructor(parts: NoticeParts) {
    this.#parts = parts
  }

  static async start(parts: NoticeParts, channel: string): Promise<NoticeSubscription> {
    const { connection } = parts.reader
    const subscription = new NoticeSubscription(parts)
    connection.onLost((error) => {
      subscription.#lost = error
      subscription.#arrived.abort()
    })
    connection.client.on('messageBuffer', (_: Buffer, payload: Buffer) =>
      subscription.#take(payload, channel),
    )
    await connection.client.subscribe(channel)
    return subscription
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    if (this.#waiting.length === 0 && this.#lost === undefined) {
      this.#arrived = new AbortController()
      const { clock, pollIntervalMs } = this.#parts
      await sleep(clock, pollIntervalMs, AbortSignal.any([signal, this.#arrived.signal]))
    }
    if (this.#lost !== undefined && this.#waiting.length === 0) throw this.#lost
    return this.#waiting.splice(0, max)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const released = settlements.flatMap(({ delivery, verdict }) =>
      verdict.kind === 'release' ? [delivery] : [],
    )
    this.#waiting.unshift(...released)
    return settlements.map(() => ({ ok: true }))
  }

  async extend(): Promise<void> {}

  onLost(): void {}

  close(): Promise<void> {
    return this.#parts.reader.close()
  }

  #take(payload: Buffer, channel: string): void {
    if (this.#waiting.length < maxWaiting) this.#waiting.push(decodeNotice(payload))
    else if (!this.#hasDropped) {
      this.#hasDropped = true
      this.#parts.emit({
        type: 'warning',
        message: `A subscriber to ${channel} cannot follow: notices are dropped`,
      })
    }
    this.#arrived.abort()
  }
}

export function unsupportedOnNotices(topic: string, what: string): MessagingError {
  return new MessagingError(
    'unsupported',
    `Topic ${topic} is of mode "notices", which keeps nothing: no ${what}. Use mode "stream", or broadcast consumers and plain sends`,
    { fate: 'not-sent' },
  )
}
