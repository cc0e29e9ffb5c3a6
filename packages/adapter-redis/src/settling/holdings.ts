import type { RedisDelivery } from '../wire/delivery.ts'

/** The deliveries that a subscription has handed out and that are neither settled nor lost. */
export class Holdings {
  readonly #bySource: readonly Map<string, RedisDelivery>[]

  constructor(sources: number) {
    this.#bySource = Array.from({ length: sources }, () => new Map())
  }

  /** Returns the earlier delivery of the same entry, which is lost by that. */
  add(delivery: RedisDelivery): RedisDelivery | undefined {
    const held = this.#bySource[delivery.source]
    const earlier = held?.get(delivery.id)
    held?.set(delivery.id, delivery)
    return earlier
  }

  has(delivery: RedisDelivery): boolean {
    return this.#bySource[delivery.source]?.get(delivery.id) === delivery
  }

  hasEntry(source: number, id: string): boolean {
    return this.#bySource[source]?.has(id) === true
  }

  remove(delivery: RedisDelivery): void {
    if (this.has(delivery)) this.#bySource[delivery.source]?.delete(delivery.id)
  }

  of(source: number): readonly RedisDelivery[] {
    return [...(this.#bySource[source]?.values() ?? [])]
  }

  all(): readonly RedisDelivery[] {
    return this.#bySource.flatMap((held) => [...held.values()])
  }
}
