import type { Delivery, DriverContext, Outcome, Settlement, Subscription } from '@waybill/core/driver'
import { done } from '@waybill/core/driver-kit'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { fromStreams, RedisDelivery } from '../wire/delivery.ts'
import type { TopicKeys } from '../wire/names.ts'
import { asRecord, asText } from '../wire/reply.ts'
import type { Upkeep } from './upkeep.ts'
import { Wake, type WakeSettings } from './wake.ts'

export interface BroadcastParts extends Pick<WakeSettings, 'listening' | 'clock'> {
  readonly shared: SharedConnection
  readonly upkeep: Upkeep
  readonly topic: TopicKeys
  readonly emit: DriverContext['emit']
  readonly onClosed: () => void
}

/** Reads a topic's streams from now on, without a group: the broker keeps nothing of it, and it needs no settling. */
export class BroadcastSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #parts: BroadcastParts
  readonly #sourceOf: ReadonlyMap<string, number>
  readonly #wake: Wake
  /** The id of the last entry handed out, by stream. */
  readonly #ids: string[]
  #returned: RedisDelivery[] = []

  private constructor(parts: BroadcastParts, ids: string[]) {
    const { topic, upkeep } = parts
    this.#parts = parts
    this.#sourceOf = new Map(topic.streams.map((name, source) => [name, source]))
    this.#ids = ids
    this.#wake = new Wake({
      ...parts,
      channels: [topic.wake],
      concerns: () => true,
      onDue: (inMs) => upkeep.dueIn(inMs),
      onChange: () => {},
    })
  }

  /** Everything added to the streams after this is delivered. */
  static async start(parts: BroadcastParts): Promise<BroadcastSubscription> {
    const information = await Promise.all(
      parts.topic.streams.map((stream) => parts.shared.call('XINFO', 'STREAM', stream)),
    )
    const ids = information.map((reply) => asText(asRecord(reply)['last-generated-id']))
    const subscription = new BroadcastSubscription(parts, ids)
    await subscription.#wake.listen()
    return subscription
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const { upkeep } = this.#parts
    await upkeep.moveDue()
    if (upkeep.isTendDue) {
      await upkeep.tend()
      // Nobody tells of entries that foreign producers add, so it reads as often as it tends.
      this.#wake.set()
    }
    while (!signal.aborted) {
      if (this.#returned.length > 0) return this.#returned.splice(0, max)
      if (this.#wake.take()) {
        const deliveries = await this.#read(max)
        if (deliveries.length > 0) return deliveries
      }
      await this.#wake.wait(upkeep.untilDue, signal)
      if (upkeep.untilDue <= 0) return []
    }
    return []
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    for (const { delivery, verdict } of settlements) {
      if (verdict.kind === 'release' && delivery instanceof RedisDelivery) this.#returned.push(delivery)
    }
    this.#wake.notify()
    return settlements.map(() => done)
  }

  async extend(): Promise<void> {}

  onLost(): void {}

  async close(): Promise<void> {
    this.#wake.close()
    this.#parts.onClosed()
  }

  async #read(max: number): Promise<readonly RedisDelivery[]> {
    const { shared, topic } = this.#parts
    // COUNT is a limit for each stream: what is too much is read again. Few at a time, whose size nobody knows.
    const count = Math.min(max, readAtOnce)
    const reply = await shared.call('XREAD', 'COUNT', count, 'STREAMS', ...topic.streams, ...this.#ids)
    const deliveries = fromStreams(reply, this.#sourceOf).slice(0, max)
    for (const { source, id } of deliveries) this.#ids[source] = id
    if (deliveries.length > 0) this.#wake.set()
    return deliveries
  }
}

const readAtOnce = 100
