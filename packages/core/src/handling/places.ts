import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Clock } from '../lib/clock.ts'
import { type KeySlotLimits, KeySlots } from './key-slots.ts'

interface Held {
  readonly key: string
  readonly since: number
}

/** Which deliveries hold a place of their handler's concurrency, and how long they hold it. */
export class Places {
  readonly #clock: Clock
  readonly #slots: KeySlots
  readonly #held = new Map<DeliveryInHand, Held>()
  #usualMs = 0

  constructor(clock: Clock, limits: KeySlotLimits) {
    this.#clock = clock
    this.#slots = new KeySlots(limits)
  }

  /** How often one of a key can go, as far as the latest tell. */
  get spacingMs(): number {
    return this.#usualMs / this.#slots.most
  }

  tryEnter(delivery: DeliveryInHand, key: string): boolean {
    if (!this.#slots.tryAcquire(key)) return false
    this.#hold(delivery, key)
    return true
  }

  /** Waits for a place, in the turn of its key. */
  enter(
    delivery: DeliveryInHand,
    key: string,
    over: AbortSignal,
    withinMs: number,
  ): Promise<'entered' | 'ended' | 'late'> {
    return new Promise((resolve) => {
      if (over.aborted) return resolve('ended')
      const finish = (outcome: 'entered' | 'ended' | 'late') => {
        over.removeEventListener('abort', onEnd)
        cancel?.()
        if (outcome === 'entered') this.#hold(delivery, key)
        else giveUp?.()
        resolve(outcome)
      }
      const onEnd = () => finish('ended')
      over.addEventListener('abort', onEnd, { once: true })
      const cancel =
        withinMs === Number.POSITIVE_INFINITY ? undefined : this.#clock.after(withinMs, () => finish('late'))
      const giveUp = this.#slots.wait(key, () => finish('entered'))
    })
  }

  /** `wasUsed`: for a handler, so that its time tells how long others take. */
  leave(delivery: DeliveryInHand, wasUsed = false): void {
    const held = this.#held.get(delivery)
    if (held === undefined) return
    this.#held.delete(delivery)
    // The latest count most: a fifth each.
    if (wasUsed) this.#usualMs += (this.#clock.monotonic() - held.since - this.#usualMs) / 5
    this.#slots.release(held.key)
  }

  #hold(delivery: DeliveryInHand, key: string): void {
    this.#held.set(delivery, { key, since: this.#clock.monotonic() })
  }
}
