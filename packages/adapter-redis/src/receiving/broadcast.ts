import type { Delivery, Outcome, Settlement, Subscription } from '@waybill/core/driver'
import type { Reader } from '../connection/reader.ts'
import { fromStreams, RedisDelivery } from '../wire/delivery.ts'
import type { TopicKeys } from '../wire/messages.ts'
import { asRecord, asText } from '../wire/reply.ts'
import type { Upkeep } from './upkeep.ts'

export interface BroadcastParts {
  readonly reader: Reader
  readonly upkeep: Upkeep
  readonly topic: TopicKeys
}

/** Reads a topic's streams from now on, without a group: the broker keeps nothing of it, and it needs no settling. */
export class BroadcastSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #parts: BroadcastParts
  readonly #sourceOf: ReadonlyMap<string, number>
  /** The id of the last entry handed out, by stream. */
  readonly #ids: string[]
  #returned: RedisDelivery[] = []
  #closing: Promise<void> | undefined

  private constructor(parts: BroadcastParts, ids: string[]) {
    this.#parts = parts
    this.#sourceOf = new Map(parts.topic.streams.map((name, source) => [name, source]))
    this.#ids = ids
  }

  /** Everything added to the streams after this is delivered. */
  static async start(parts: BroadcastParts): Promise<BroadcastSubscription> {
    const information = await Promise.all(
      parts.topic.streams.map((stream) => parts.reader.call('XINFO', 'STREAM', stream)),
    )
    return new BroadcastSubscription(
      parts,
      information.map((reply) => asText(asRecord(reply)['last-generated-id'])),
    )
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const { reader, upkeep, topic } = this.#parts
    const due = upkeep.run()
    if (due !== undefined) await due
    if (signal.aborted) return []
    if (this.#returned.length > 0) return this.#returned.splice(0, max)
    const args = ['COUNT', max, 'BLOCK', upkeep.blockMs, 'STREAMS', ...topic.streams, ...this.#ids]
    const reply = await reader.block(signal, 'XREAD', ...args)
    // COUNT is a limit for each stream: what is too much is read again.
    const deliveries = fromStreams(reply, this.#sourceOf, Number.POSITIVE_INFINITY).slice(0, max)
    for (const { source, id } of deliveries) this.#ids[source] = id
    return deliveries
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    for (const { delivery, verdict } of settlements) {
      if (verdict.kind === 'release' && delivery instanceof RedisDelivery) this.#returned.push(delivery)
    }
    return settlements.map(() => ({ ok: true }))
  }

  async extend(): Promise<void> {}

  onLost(): void {}

  close(): Promise<void> {
    this.#closing ??= this.#parts.reader.close()
    return this.#closing
  }
}
