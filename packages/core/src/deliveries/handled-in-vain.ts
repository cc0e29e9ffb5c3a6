import { hash } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'
import type { DeliveryInHand } from './delivery.ts'

const most = 10_000

const rememberedMs = 10 * 60_000

/**
 * What was handled here, while its ack may never have reached the broker: the delivery was lost before, because a handler
 * blocked the event loop for longer than a lease or heartbeat allows, for example. It comes again, and is acked without
 * being handled again. Otherwise the same few messages would go round for as long as their handlers block.
 */
export class HandledInVain {
  readonly #clock: Clock
  /** Until when each is remembered; the oldest first. */
  readonly #until = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(inHand: DeliveryInHand): void {
    const identity = identityOf(inHand)
    this.#until.delete(identity)
    this.#until.set(identity, this.#clock.monotonic() + rememberedMs)
    const [oldest] = this.#until.size > most ? this.#until.keys() : []
    if (oldest !== undefined) this.#until.delete(oldest)
  }

  /** Whether it was handled here already; true once for each. */
  take(inHand: DeliveryInHand): boolean {
    // Usually, so that it costs nothing.
    if (this.#until.size === 0) return false
    const identity = identityOf(inHand)
    const until = this.#until.get(identity) ?? Number.NEGATIVE_INFINITY
    this.#until.delete(identity)
    return until > this.#clock.monotonic()
  }
}

// With the body, since users may send different messages with one id of their own.
function identityOf({ topic, group, message, delivery }: DeliveryInHand): string {
  const { type, id, metadata } = message
  const body = hash('sha256', delivery.body)
  return JSON.stringify([topic, group, type, metadata.source, id, delivery.attempt, body])
}
