import type { DeliveryInHand } from './delivery.ts'

/** What giving keys back needs of its session. */
export interface ReturningKeysHost {
  /** Has the delivery released; `left` is called when that is durable. */
  readonly release: (inHand: DeliveryInHand) => void
  /** Makes a fetch that is under way come back now; false when there is none. */
  readonly interruptFetch: () => boolean
  /** Fetching may go on. */
  readonly onOpen: () => void
}

interface Return {
  /** Being released. */
  readonly pending: Set<DeliveryInHand>
  /** To be released after those. */
  readonly after: Set<DeliveryInHand>
  failing: boolean
}

/**
 * The keys of an ordered topic that are on their way back to the group. A message of such a key that arrives in the meantime
 * may have been fetched before the release, and would overtake what was given back. So it goes back too, until everything of
 * the key is durably with the broker and no earlier fetch is in progress. Then the key comes again from its head.
 */
export class ReturningKeys {
  readonly #host: ReturningKeysHost
  readonly #keys = new Map<string, Return>()

  constructor(host: ReturningKeysHost) {
    this.#host = host
  }

  has(key: string | undefined): boolean {
    return key !== undefined && this.#keys.has(key)
  }

  /** Nothing is to be fetched: it would only go back. A release that keeps failing does not hold up other keys. */
  get holdFetch(): boolean {
    if (this.#keys.size === 0) return false
    return [...this.#keys.values()].some(({ failing }) => !failing)
  }

  /** These go back, in this order, after what is already going back of the key. */
  add(key: string, deliveries: readonly DeliveryInHand[]): void {
    const known = this.#keys.get(key)
    const returning = known ?? { pending: new Set(), after: new Set(), failing: false }
    this.#keys.set(key, returning)
    for (const inHand of deliveries) if (!inHand.ended) returning.after.add(inHand)
    this.#goOn(key, returning)
  }

  /** It is durably with the broker again, or lost. */
  left(inHand: DeliveryInHand): void {
    const { laneKey } = inHand
    const returning = laneKey === undefined ? undefined : this.#keys.get(laneKey)
    if (laneKey === undefined || returning === undefined) return
    returning.after.delete(inHand)
    if (!returning.pending.delete(inHand) || returning.pending.size > 0) return
    returning.failing = false
    this.#goOn(laneKey, returning)
  }

  /** Its release failed and is tried again. */
  failed(inHand: DeliveryInHand): void {
    const returning = inHand.laneKey === undefined ? undefined : this.#keys.get(inHand.laneKey)
    if (returning === undefined || !returning.pending.has(inHand)) return
    returning.failing = true
    this.#host.onOpen()
  }

  /** A fetch has come back, and what it brought of these keys was added. */
  fetched(): void {
    for (const [key, returning] of this.#keys) this.#goOn(key, returning)
  }

  #goOn(key: string, returning: Return): void {
    if (returning.pending.size > 0) return
    const next = [...returning.after].filter(({ ended }) => !ended)
    returning.after.clear()
    for (const inHand of next) returning.pending.add(inHand)
    for (const inHand of next) this.#host.release(inHand)
    if (next.length > 0 || this.#host.interruptFetch()) return
    this.#keys.delete(key)
    this.#host.onOpen()
  }
}
