import type { RabbitmqDelivery } from '../wire/delivery.ts'

/** How many are remembered in all: the oldest go first. */
const most = 20_000

/**
 * Messages that were acknowledged just before a connection was lost: AMQP confirms no acknowledgement, so the broker may
 * never have read it. Their redelivery is acknowledged without being handled again. Core does the same for what it knows
 * to be lost; of these it was told that they are settled.
 */
export class LostAcks {
  readonly #identities = new Set<string>()

  remember(identity: string): void {
    this.#identities.add(identity)
    if (this.#identities.size <= most) return
    for (const oldest of this.#identities) {
      this.#identities.delete(oldest)
      return
    }
  }

  /** Whether a redelivery was acknowledged here already; true once for each. */
  take(queue: string, delivery: RabbitmqDelivery): boolean {
    if (this.#identities.size === 0 || !delivery.isRedelivered) return false
    const identity = identityOf(queue, delivery)
    return identity !== undefined && this.#identities.delete(identity)
  }
}

/** Undefined for a message without an id: it is handled again. A retry is another message than the one before it. */
export function identityOf(queue: string, { source, attempt, body }: RabbitmqDelivery): string | undefined {
  const { messageId, type } = source.properties
  if (typeof messageId !== 'string') return undefined
  return `${queue}\n${messageId}\n${type}\n${attempt}\n${body.byteLength}`
}
