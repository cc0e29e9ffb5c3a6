import { setImmediate } from 'node:timers'
import { type Delivery, MessagingError, type Outcome, type Settlement, type Subscription } from '../driver.ts'
import type { Clock } from '../lib/clock.ts'
import type { Member, MemoryDelivery, MemoryGroup } from './memory-group.ts'

const done: Outcome = { ok: true }

/** How many deliveries are taken before the event loop has its turn. */
const turnSize = 256

function deleted(): MessagingError {
  return new MessagingError('topology-missing', 'The group was deleted', { retryable: true })
}

/** A member of a group: takes deliveries under a lease, and gives back what it does not settle. */
export class MemorySubscription implements Subscription, Member {
  readonly leaseMs: number
  readonly #clock: Clock
  readonly #group: MemoryGroup
  readonly #onClose: () => void
  readonly #expiry = new Map<MemoryDelivery, number>()
  #closed = false
  #takenInTurn = 0
  #cancelCheck: (() => void) | undefined
  #listener: (deliveries: readonly Delivery[]) => void = () => {}
  #wake = () => {}

  constructor(clock: Clock, group: MemoryGroup, leaseMs: number, onClose: () => void) {
    this.leaseMs = leaseMs
    this.#clock = clock
    this.#group = group
    this.#onClose = onClose
    group.join(this)
  }

  wake = () => this.#wake()

  lose = (deliveries: readonly MemoryDelivery[]) => {
    for (const delivery of deliveries) this.#expiry.delete(delivery)
    this.#listener(deliveries)
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    signal.addEventListener('abort', this.wake)
    try {
      while (!signal.aborted) {
        if (this.#takenInTurn >= turnSize) await this.#letOthersIn()
        if (this.#closed) throw new MessagingError('closed', 'The memory subscription is closed')
        if (this.#group.closed) throw deleted()
        const taken = this.#group.take(this, max)
        if (taken.length > 0) {
          this.#takenInTurn += taken.length
          this.#hold(taken, this.leaseMs)
          return taken
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      return []
    } finally {
      signal.removeEventListener('abort', this.wake)
    }
  }

  // Nothing here waits for I/O, so a large backlog would starve timers and sockets.
  async #letOthersIn(): Promise<void> {
    this.#takenInTurn = 0
    await new Promise((resolve) => setImmediate(resolve))
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    for (const { delivery, verdict } of settlements) {
      if (!this.#isOurs(delivery)) continue
      this.#expiry.delete(delivery)
      const { message } = delivery.entry
      switch (verdict.kind) {
        case 'ack':
          this.#group.remove(delivery)
          break
        case 'retry':
          if (!this.#group.remove(delivery)) break
          this.#group.add({
            ...message,
            headers: verdict.headers,
            dueAt: this.#clock.monotonic() + verdict.delayMs,
          })
          break
        case 'dead-letter':
          this.#group.bury(message, verdict.headers)
          this.#group.remove(delivery)
          break
        case 'release':
          this.#group.giveBack([delivery])
          break
      }
    }
    return settlements.map(() => done)
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    this.#hold(
      deliveries.filter((delivery) => this.#isOurs(delivery)),
      leaseMs,
    )
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#listener = listener
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#wake()
    this.#cancelCheck?.()
    this.#expiry.clear()
    this.#group.leave(this)
    this.#onClose()
  }

  #isOurs(delivery: Delivery): delivery is MemoryDelivery {
    return 'entry' in delivery && this.#expiry.has(delivery as MemoryDelivery)
  }

  #hold(deliveries: readonly MemoryDelivery[], leaseMs: number): void {
    const expiresAt = this.#clock.monotonic() + leaseMs
    for (const delivery of deliveries) this.#expiry.set(delivery, expiresAt)
    this.#cancelCheck ??= this.#clock.after(leaseMs, () => this.#expire(), { background: true })
  }

  // All leases have the same length, so one timer for the earliest is enough.
  #expire(): void {
    const now = this.#clock.monotonic()
    const expired = [...this.#expiry]
      .filter(([, expiresAt]) => expiresAt <= now)
      .map(([delivery]) => delivery)
    this.lose(expired)
    this.#group.expire(expired)
    let next = Number.POSITIVE_INFINITY
    for (const expiresAt of this.#expiry.values()) next = Math.min(next, expiresAt)
    this.#cancelCheck = Number.isFinite(next)
      ? this.#clock.after(Math.max(1, next - now), () => this.#expire(), { background: true })
      : undefined
  }
}
