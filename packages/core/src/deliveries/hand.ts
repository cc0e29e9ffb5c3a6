import { type Place, Roster } from '../lib/roster.ts'
import type { DeliveryInHand, DeliveryOwner } from './delivery.ts'

/**
 * What a consumer has in hand on one topic, and the room it takes. A delivery takes room from its receipt until it is settled
 * or lost *and* no handler or lane is busy with it. Otherwise lost deliveries would pile up behind a handler that hangs.
 */
export class Hand implements DeliveryOwner {
  readonly #deliveries = new Roster<DeliveryInHand>()
  /** How many were given back to the group, as long as this lives. */
  released = 0
  #occupied = 0
  #onChange: (() => void) | undefined

  /** How many are neither settled nor lost. */
  get size(): number {
    return this.#deliveries.size
  }

  /** How many take room. */
  get occupied(): number {
    return this.#occupied
  }

  /** In the order they came. */
  all(): readonly DeliveryInHand[] {
    return this.#deliveries.all()
  }

  /** Resolves when there may be room, or when those who wait should look again. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = resolve
    })
  }

  readonly wake = (): void => this.#onChange?.()

  join(delivery: DeliveryInHand): Place<DeliveryInHand> {
    this.#occupied += 1
    return this.#deliveries.add(delivery)
  }

  leave(place: Place<DeliveryInHand>): void {
    this.#deliveries.remove(place)
  }

  vacate(): void {
    this.#occupied -= 1
    this.wake()
  }
}
