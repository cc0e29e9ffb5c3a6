import type { Delivery, Subscription } from '../driver.ts'
import type { Clock } from '../lib/clock.ts'
import { type MessagingError, toMessagingError } from '../lib/errors.ts'
import type { DeliveryInHand } from './delivery.ts'

export interface LeasesSettings {
  readonly clock: Clock
  readonly maxLeaseMs: number
  readonly inHand: () => readonly DeliveryInHand[]
  /** Those that have been in hand too long. */
  readonly onOverdue: (overdue: readonly DeliveryInHand[]) => void
  readonly report: (what: string, error: MessagingError) => void
}

/** Renews the leases of what is in hand, up to `maxLease`. */
export class Leases {
  readonly #subscription: Subscription
  readonly #settings: LeasesSettings
  #cancelRenewal: (() => void) | undefined

  constructor(subscription: Subscription, settings: LeasesSettings) {
    this.#subscription = subscription
    this.#settings = settings
    this.#scheduleRenewal()
  }

  close(): void {
    this.#cancelRenewal?.()
  }

  #scheduleRenewal(): void {
    const { leaseMs } = this.#subscription
    if (leaseMs === undefined) return
    const renew = () => {
      this.#scheduleRenewal()
      this.#settings.onOverdue(this.#overdue())
      void this.#renew(leaseMs)
    }
    this.#cancelRenewal = this.#settings.clock.after(leaseMs / 3, renew, { background: true })
  }

  async #renew(leaseMs: number): Promise<void> {
    const current: Delivery[] = this.#settings.inHand().map(({ delivery }) => delivery)
    if (current.length === 0) return
    try {
      await this.#subscription.extend(current, leaseMs)
    } catch (error) {
      this.#settings.report('renewing leases', toMessagingError(error, 'Renewing leases failed'))
    }
  }

  /**
   * Whose handler has run, or who has waited for one, longer than maxLease. What is backing off may wait for as long as
   * its backoff says, and what waits behind the head of its key for as long as the head does.
   */
  #overdue(): readonly DeliveryInHand[] {
    const oldest = this.#settings.clock.monotonic() - this.#settings.maxLeaseMs
    const headed = new Set<string>()
    return this.#settings.inHand().filter(({ laneKey, state, since }) => {
      if (laneKey !== undefined && state !== 'settling') {
        if (headed.has(laneKey)) return false
        headed.add(laneKey)
      }
      return (state === 'waiting' || state === 'running') && since < oldest
    })
  }
}
