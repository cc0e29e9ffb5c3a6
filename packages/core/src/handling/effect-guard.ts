import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Emit } from '../events/events.ts'
import type { IdempotencyMark, IdempotencyState, IdempotencyStore } from '../idempotency/idempotency.ts'
import type { Clock } from '../lib/clock.ts'
import { toMessagingError } from '../lib/errors.ts'

export interface IdempotencySettings {
  readonly store: IdempotencyStore
  readonly windowMs: number
  readonly leaseMs: number
}

interface Held {
  readonly mark: IdempotencyMark
  readonly token: string
}

/** Holds the marks of the deliveries that are being handled, and renews their leases for as long as they run. */
export class EffectGuard {
  readonly #settings: IdempotencySettings
  readonly #clock: Clock
  readonly #emit: Emit
  readonly #held = new Map<DeliveryInHand, Held>()
  #cancelRenewal: (() => void) | undefined
  #closed = false

  constructor(settings: IdempotencySettings, clock: Clock, emit: Emit) {
    this.#settings = settings
    this.#clock = clock
    this.#emit = emit
  }

  /** Rejects when the store is out of reach: the attempt has then failed before the handler saw it. */
  async begin(delivery: DeliveryInHand): Promise<IdempotencyState> {
    const mark = delivery.idempotencyKey
    const state = await this.#settings.store.begin(mark, this.#settings.leaseMs)
    if (state.state === 'started') {
      this.#held.set(delivery, { mark, token: state.token })
      if (!this.#closed) this.#cancelRenewal ??= this.#scheduleRenewal()
    }
    return state
  }

  /**
   * The effect took place. A store that fails now does not undo it: the message is acked all the same, since another
   * attempt would repeat the effect, and the failure is reported.
   */
  complete(delivery: DeliveryInHand): Promise<void> {
    return this.#end(delivery, (held) =>
      this.#settings.store.complete(held.mark, held.token, this.#settings.windowMs),
    )
  }

  /** There was no effect. A mark that cannot be taken away runs out with its lease. */
  abandon(delivery: DeliveryInHand): Promise<void> {
    return this.#end(delivery, (held) => this.#settings.store.abandon(held.mark, held.token))
  }

  /** Marks that are still held run out with their leases. */
  close(): void {
    this.#closed = true
    this.#cancelRenewal?.()
    this.#cancelRenewal = undefined
  }

  async #end(delivery: DeliveryInHand, tell: (held: Held) => Promise<void>): Promise<void> {
    const held = this.#held.get(delivery)
    if (held === undefined) return
    this.#held.delete(delivery)
    await this.#report(() => tell(held))
  }

  // One timer for all marks.
  #scheduleRenewal(): () => void {
    return this.#clock.after(
      this.#settings.leaseMs / 3,
      () => {
        this.#cancelRenewal = this.#held.size === 0 ? undefined : this.#scheduleRenewal()
        for (const { mark, token } of this.#held.values()) {
          void this.#report(() => this.#settings.store.extend(mark, token, this.#settings.leaseMs))
        }
      },
      { background: true },
    )
  }

  // A function, since a store may throw as well as reject.
  async #report(call: () => Promise<unknown>): Promise<void> {
    try {
      await call()
    } catch (error) {
      this.#emit('failure', {
        what: 'idempotency store',
        error: toMessagingError(error, 'The idempotency store failed'),
      })
    }
  }
}
