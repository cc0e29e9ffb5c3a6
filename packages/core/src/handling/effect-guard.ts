import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Emit } from '../events/events.ts'
import type { IdempotencyMark, IdempotencyState, IdempotencyStore } from '../idempotency/idempotency.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { answerOf, StoreProbe } from './store-probe.ts'

export interface IdempotencySettings {
  readonly store: IdempotencyStore
  readonly windowMs: number
  readonly leaseMs: number
}

export interface EffectGuardSettings extends IdempotencySettings {
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: string
  readonly group: string
}

interface Held {
  readonly mark: IdempotencyMark
  readonly token: string
  /** Neither being ended nor lost: to be renewed. */
  live: boolean
}

/** Holds the marks of the deliveries that are being handled, and renews their leases for as long as they are ours. */
export class EffectGuard {
  readonly #settings: EffectGuardSettings
  readonly #probe: StoreProbe
  readonly #held = new Map<DeliveryInHand, Held>()
  #cancelRenewal: (() => void) | undefined
  #closed = false

  constructor(settings: EffectGuardSettings) {
    this.#settings = settings
    this.#probe = new StoreProbe(settings)
  }

  /** Why no handler starts at the moment: the store does not answer. */
  get error(): MessagingError | undefined {
    return this.#probe.error
  }

  /**
   * Takes the mark. While the store cannot be reached it waits, with the delivery in hand, so that an outage uses up no
   * attempts; undefined if the delivery ends first. Rejects if the store answers but keeps refusing this mark: then
   * something is wrong with the message, which must not hold up the others.
   */
  async begin(delivery: DeliveryInHand): Promise<IdempotencyState | undefined> {
    const { store, leaseMs } = this.#settings
    const mark = delivery.idempotencyKey
    let refusals = 0
    if (this.#probe.isRunning) await this.#untilAnswered(delivery)
    while (!delivery.ended) {
      try {
        const state = await this.#ask(() => store.begin(mark, leaseMs))
        if (state.state === 'started') this.#hold(delivery, { mark, token: state.token, live: true })
        return state
      } catch (error) {
        const wasAway = await this.#untilAnswered(delivery)
        refusals = wasAway ? 0 : refusals + 1
        if (refusals === 2) throw error
      }
    }
    return undefined
  }

  /**
   * The effect took place, and a store that fails now does not undo it. The message is still acked, since another attempt
   * would repeat the effect; the failure is reported.
   */
  complete(delivery: DeliveryInHand): Promise<void> {
    const { store, windowMs } = this.#settings
    return this.#end(delivery, ({ mark, token }) => store.complete(mark, token, windowMs))
  }

  /** There was no effect. A mark that cannot be removed ends with its lease. */
  abandon(delivery: DeliveryInHand): Promise<void> {
    return this.#end(delivery, ({ mark, token }) => this.#settings.store.abandon(mark, token))
  }

  /** Marks that are still held run out with their leases. */
  close(): void {
    this.#closed = true
    this.#cancelRenewal?.()
    this.#cancelRenewal = undefined
    this.#probe.close()
  }

  // No handler sees the delivery meanwhile: a pause or a stop gives it back like any other that waits.
  async #untilAnswered(delivery: DeliveryInHand): Promise<boolean> {
    const ended = new Promise<boolean>((resolve) => delivery.onEnd(() => resolve(true)))
    const wasAway = await Promise.race([this.#probe.untilAnswered(), ended])
    delivery.onEnd(undefined)
    return wasAway
  }

  #hold(delivery: DeliveryInHand, held: Held): void {
    this.#held.set(delivery, held)
    if (!this.#closed) this.#cancelRenewal ??= this.#scheduleRenewal()
  }

  async #end(delivery: DeliveryInHand, tell: (held: Held) => Promise<void>): Promise<void> {
    const held = this.#held.get(delivery)
    if (held === undefined) return
    this.#held.delete(delivery)
    held.live = false
    try {
      await this.#ask(() => tell(held))
    } catch (error) {
      this.#report(error)
    }
  }

  // One timer for all marks.
  #scheduleRenewal(): () => void {
    const renewAll = () => {
      this.#cancelRenewal = this.#held.size === 0 ? undefined : this.#scheduleRenewal()
      for (const [delivery, held] of this.#held) {
        // The next member that gets the message waits for the mark, so its lease ends with the delivery even if the handler hangs.
        if (!delivery.ended && held.live) void this.#renew(held)
      }
    }
    return this.#settings.clock.after(this.#settings.leaseMs / 3, renewAll, { background: true })
  }

  async #renew(held: Held): Promise<void> {
    const { mark, token } = held
    const { store, leaseMs } = this.#settings
    try {
      if (await this.#ask(() => store.extend(mark, token, leaseMs))) return
      // It was being completed at that moment: nothing is lost.
      if (!held.live) return
      held.live = false
      const why = `The mark of ${mark.type} ${mark.id} ran out while its handler was running; the message may be handled twice`
      this.#report(new MessagingError('stale', why))
    } catch (error) {
      this.#report(error)
    }
  }

  #ask<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    return answerOf(this.#settings.clock, this.#settings.leaseMs, call)
  }

  #report(error: unknown): void {
    const { emit } = this.#settings
    emit('failure', {
      what: 'idempotency store',
      error: toMessagingError(error, 'The idempotency store failed'),
    })
  }
}
