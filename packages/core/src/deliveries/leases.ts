import type { Subscription } from '../driver.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import type { DeliveryInHand } from './delivery.ts'

export interface LeasesSettings {
  readonly clock: Clock
  readonly maxLeaseMs: number
  readonly inHand: () => readonly DeliveryInHand[]
  /** Those that have been in hand too long. */
  readonly onOverdue: (overdue: readonly DeliveryInHand[]) => void
  /** Those whose lease has run out, because it could not be renewed: somebody else may have them. */
  readonly onExpired: (expired: readonly DeliveryInHand[]) => void
  readonly report: (what: string, error: MessagingError) => void
}

/** Renews the leases of what is in hand up to `maxLease`, which also holds where the driver knows no leases. */
export class Leases {
  readonly #subscription: Subscription
  readonly #settings: LeasesSettings
  readonly #intervalMs: number
  /** When the latest renewal that succeeded began. */
  #renewedAt = Number.NEGATIVE_INFINITY
  #failed: { readonly error: MessagingError; readonly at: number } | undefined
  /** When the renewals began that have not been answered, oldest first. */
  readonly #unanswered = new Set<number>()
  #isHanging = false
  #cancelTick: (() => void) | undefined
  #cancelExpiry: (() => void) | undefined
  #isClosed = false

  constructor(subscription: Subscription, settings: LeasesSettings) {
    this.#subscription = subscription
    this.#settings = settings
    const { leaseMs } = subscription
    // Without leases there is nothing to renew; only maxLease applies.
    this.#intervalMs =
      leaseMs === undefined ? Math.max(100, Math.min(settings.maxLeaseMs / 4, 10_000)) : leaseMs / 3
    this.#scheduleTick()
  }

  /** Why leases cannot be renewed at the moment. */
  get error(): MessagingError | undefined {
    const { leaseMs = 0 } = this.#subscription
    const now = this.#settings.clock.monotonic()
    const [oldest = now] = this.#unanswered
    if (now - oldest >= this.#intervalMs) {
      const hint = 'what is in hand is lost when its lease ends'
      const why = `The driver has not answered for ${Math.round(now - oldest)} ms; ${hint}`
      return new MessagingError('timeout', why, { retryable: true })
    }
    // What it concerned may have ended since; then nobody renews, and no success would tell that all is well.
    return this.#failed !== undefined && now - this.#failed.at <= leaseMs ? this.#failed.error : undefined
  }

  /** Its lease has run out, as far as we know. */
  isExpired(inHand: DeliveryInHand, now: number): boolean {
    return this.#endOf(inHand) <= now
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTick?.()
    this.#cancelExpiry?.()
  }

  #endOf({ heldSince }: DeliveryInHand): number {
    return Math.max(heldSince, this.#renewedAt) + (this.#subscription.leaseMs ?? Number.POSITIVE_INFINITY)
  }

  #scheduleTick(): void {
    const tick = () => {
      this.#scheduleTick()
      this.#settings.onOverdue(this.#overdue())
      this.#checkExpiry()
      this.#tellIfHanging()
      void this.#renew()
    }
    this.#cancelTick = this.#settings.clock.after(this.#intervalMs, tick, { background: true })
  }

  async #renew(): Promise<void> {
    const { leaseMs } = this.#subscription
    const { clock, inHand, report } = this.#settings
    const current = inHand().map(({ delivery }) => delivery)
    if (leaseMs === undefined || current.length === 0) return
    const startedAt = clock.monotonic()
    this.#unanswered.add(startedAt)
    try {
      await this.#subscription.extend(current, leaseMs)
      this.#renewedAt = Math.max(this.#renewedAt, startedAt)
      this.#failed = undefined
      for (const earlier of this.#unanswered) if (earlier <= startedAt) this.#unanswered.delete(earlier)
    } catch (thrown) {
      this.#unanswered.delete(startedAt)
      const error = toMessagingError(thrown, 'Renewing leases failed')
      this.#failed = { error, at: clock.monotonic() }
      report('renewing leases', error)
    }
  }

  // A call that is not answered rejects nothing: it is told here, once.
  #tellIfHanging(): void {
    const { error } = this
    const isHanging = this.#unanswered.size > 0 && error?.code === 'timeout'
    if (isHanging && !this.#isHanging) this.#settings.report('renewing leases', error)
    this.#isHanging = isHanging
  }

  /** Lets go of what has expired, and looks again when the next one would, if that is before the next tick. */
  #checkExpiry(): void {
    const { clock, inHand, onExpired } = this.#settings
    if (this.#subscription.leaseMs === undefined || this.#isClosed) return
    const now = clock.monotonic()
    const expired = inHand().filter((each) => this.isExpired(each, now))
    if (expired.length > 0) onExpired(expired)
    const next = inHand().reduce(
      (earliest, each) => Math.min(earliest, this.#endOf(each)),
      Number.POSITIVE_INFINITY,
    )
    this.#cancelExpiry?.()
    this.#cancelExpiry =
      next < now + this.#intervalMs
        ? clock.after(next - now, () => this.#checkExpiry(), { background: true })
        : undefined
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
