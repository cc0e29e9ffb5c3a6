import {
  type Clock,
  type Delivery,
  type DriverContext,
  type MessagingError,
  type Outcome,
  type Settlement,
  type Subscription,
  sleep,
} from '@waybill/core/driver'
import { Change, done } from '@waybill/core/driver-kit'
import type { ListeningConnection } from '../connection/listening-connection.ts'
import { decodeNotice } from '../wire/notices.ts'

// More than any consumer's prefetch: beyond it, a subscriber that cannot follow loses the newest notices.
const maxWaiting = 10_000

export interface NoticeParts {
  readonly listening: ListeningConnection
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  readonly pollIntervalMs: number
  readonly onClosed: () => void
}

/** A Pub/Sub subscription: at most once, and nothing to settle. */
export class NoticeSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #parts: NoticeParts
  readonly #channel: string
  readonly #change = new Change()
  #waiting: Delivery[] = []
  #hasDropped = false
  #lost: MessagingError | undefined
  #end: (() => void) | undefined

  private constructor(parts: NoticeParts, channel: string) {
    this.#parts = parts
    this.#channel = channel
  }

  static async start(parts: NoticeParts, channel: string): Promise<NoticeSubscription> {
    const subscription = new NoticeSubscription(parts, channel)
    subscription.#end = await parts.listening.listen([channel], {
      payload: (payload) => subscription.#take(payload),
      opened: () => {},
      lost: (error) => {
        subscription.#lost = error
        subscription.#change.notify()
      },
    })
    return subscription
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const { listening, clock, pollIntervalMs } = this.#parts
    await listening.ensure()
    if (this.#waiting.length === 0 && this.#lost === undefined) {
      const over = new AbortController()
      const either = AbortSignal.any([signal, over.signal])
      await Promise.race([this.#change.next(either), sleep(clock, pollIntervalMs, either)])
      over.abort()
    }
    // What was published in the meantime is gone, which operators should know; then it continues.
    const lost = this.#lost
    if (lost !== undefined && this.#waiting.length === 0) {
      this.#lost = undefined
      throw lost
    }
    return this.#waiting.splice(0, max)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const released = settlements.flatMap(({ delivery, verdict }) =>
      verdict.kind === 'release' ? [delivery] : [],
    )
    this.#waiting.unshift(...released)
    return settlements.map(() => done)
  }

  async extend(): Promise<void> {}

  onLost(): void {}

  async close(): Promise<void> {
    this.#end?.()
    this.#parts.onClosed()
  }

  #take(payload: Buffer): void {
    if (this.#waiting.length < maxWaiting) this.#waiting.push(decodeNotice(payload))
    else if (!this.#hasDropped) {
      this.#hasDropped = true
      this.#parts.emit({
        type: 'warning',
        message: `A subscriber to ${this.#channel} is too slow: notices are dropped`,
      })
    }
    this.#change.notify()
  }
}
