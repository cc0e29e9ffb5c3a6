import { Roster } from '../lib/roster.ts'
import type { PendingSend } from './pending-send.ts'

/**
 * The sends of one topic that wait for their turn. On an ordered topic the key of a refused message is held: later messages
 * of that key wait behind it, and the other keys continue.
 */
export class TopicLane {
  readonly ordered: boolean
  readonly #waiting = new Roster<PendingSend>()
  readonly #held = new Map<string, Roster<PendingSend>>()
  /** Batches with the driver. */
  running = 0
  /** Refused sends that wait beside the lane, in groups. */
  aside = 0
  /** No batch is taken: the broker does not answer. */
  isResting = false
  /** Batches in a row that failed as a whole. */
  failures = 0
  isScheduled = false

  constructor(ordered: boolean) {
    this.ordered = ordered
  }

  get hasWaiting(): boolean {
    return this.#waiting.size > 0
  }

  get isIdle(): boolean {
    return (
      !this.hasWaiting && this.#held.size === 0 && this.running === 0 && this.aside === 0 && !this.isResting
    )
  }

  add(send: PendingSend): void {
    send.waitIn(this.#waiting)
  }

  /** Back to where they came from: before all that wait, in their order. */
  giveBack(sends: readonly PendingSend[]): void {
    for (const send of sends.toReversed()) if (!send.ended) send.waitIn(this.#waiting, 'front')
  }

  /** Keeps the sends of a key, and those that come after them, from being taken until `release`. */
  hold(key: string, sends: readonly PendingSend[]): void {
    const held = new Roster<PendingSend>()
    for (const send of sends) send.waitIn(held)
    this.#held.set(key, held)
  }

  release(key: string): void {
    const held = this.#held.get(key)
    this.#held.delete(key)
    // What still waits under the key came after everything that was held.
    if (held !== undefined) this.giveBack(held.all())
  }

  /** The next batch, oldest first; empty if all that waits is held. */
  take(max: number): PendingSend[] {
    const batch: PendingSend[] = []
    for (let place = this.#waiting.first; place !== undefined && batch.length < max; ) {
      const send = place.item
      const key = send.message.key
      const held = this.#held.size === 0 || key === undefined ? undefined : this.#held.get(key)
      if (held !== undefined) send.waitIn(held)
      else {
        send.leaveQueue()
        batch.push(send)
      }
      place = this.#waiting.first
    }
    return batch
  }
}
