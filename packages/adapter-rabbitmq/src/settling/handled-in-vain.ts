import type { RabbitmqDelivery } from '../wire/delivery.ts'

/** How many are remembered in all: the oldest go first. */
const most = 20_000

/**
 * Messages that were handled here, but whose acknowledgement the broker may never have seen, because the connection was
 * lost: while a handler blocks the event loop for longer than the heartbeats allow, for example. Their redelivery is
 * acknowledged without being handled, or the same few messages would go round and nothing else would get its turn.
 */
export class HandledInVain {
  readonly #identities = new Set<string>()

  remember(identity: string): void {
    this.#identities.add(identity)
    if (this.#identities.size <= most) return
    for (const oldest of this.#identities) {
      this.#identities.delete(oldest)
      return
    }
  }

  /** Whether a redelivery was handled here already; true once for each. */
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
