import type { Clock, Delivery, DriverContext, Outcome, Settlement, Subscription } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/connection.ts'
import type { Reader } from '../connection/reader.ts'
import { extend } from '../scripts/extend.ts'
import { fetch } from '../scripts/fetch.ts'
import { holders } from '../scripts/holders.ts'
import { leave } from '../scripts/leave.ts'
import { positions } from '../scripts/positions.ts'
import { reclaim } from '../scripts/reclaim.ts'
import { Holdings } from '../settling/holdings.ts'
import { Settler } from '../settling/settler.ts'
import { fromClaims, fromRows, fromStreams, RedisDelivery } from '../wire/delivery.ts'
import { type Argument, type GroupKeys, type TopicKeys, usualContentType } from '../wire/messages.ts'
import { asArray, asNumber, asText } from '../wire/reply.ts'
import { Presence, presenceIntervalMs } from './presence.ts'
import type { Upkeep } from './upkeep.ts'

export interface SubscriptionParts {
  readonly reader: Reader
  readonly shared: SharedConnection
  readonly upkeep: Upkeep
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  readonly topic: TopicKeys
  readonly group: GroupKeys
  readonly groupName: string
  /** Unique to this subscription. */
  readonly consumer: string
  readonly leaseMs: number
  readonly pollIntervalMs: number
}

/** A member of a group on an unordered topic. What is delivered to it is its own until the lease ends. */
export class GroupSubscription implements Subscription {
  readonly leaseMs: number
  readonly #parts: SubscriptionParts
  readonly #holdings: Holdings
  readonly #settler: Settler
  readonly #sourceOf: ReadonlyMap<string, number>
  readonly #fetchKeys: readonly string[]
  readonly #reclaimIntervalMs: number
  readonly #presence: Presence
  #reclaimAt = 0
  /** The last read that waited took all there was, so the next may wait at once. */
  #isEmpty = false
  #lost: (deliveries: readonly Delivery[]) => void = () => {}
  #closing: Promise<void> | undefined

  constructor(parts: SubscriptionParts) {
    const { group, leaseMs, pollIntervalMs } = parts
    this.leaseMs = leaseMs
    this.#parts = parts
    this.#holdings = new Holdings(group.sources.length)
    this.#settler = new Settler({ ...parts, ordered: false }, this.#holdings)
    this.#sourceOf = new Map(group.sources.map((name, source) => [name, source]))
    // The first key is for owners of partitions, which only ordered topics have.
    this.#fetchKeys = [group.owners, ...group.sources]
    this.#presence = new Presence({
      ...parts,
      members: () => this.#holders(),
      // What it held was handed to a process that died: that counts.
      bury: (member) => parts.shared.run(leave, group.sources, [parts.groupName, member, 1]),
    })
    this.#reclaimIntervalMs = Math.max(pollIntervalMs, Math.min(leaseMs / 10, longestReclaimIntervalMs))
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const { upkeep, clock } = this.#parts
    const due = upkeep.run()
    if (due !== undefined) await due
    const absence = this.#presence.run()
    if (absence !== undefined) await absence
    if (clock.now() >= this.#reclaimAt) {
      const reclaimed = await this.#reclaim(max)
      if (reclaimed.length > 0) return reclaimed
    }
    if (signal.aborted) return []
    if (!this.#isEmpty) {
      const fetched = await this.#fetch(max)
      if (fetched.length > 0 || signal.aborted) return fetched
    }
    return this.#wait(max, signal)
  }

  settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    return this.#settler.settle(settlements)
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    const { shared, clock, group, groupName, consumer } = this.#parts
    const isOurs = (delivery: RedisDelivery) => this.#holdings.has(delivery) && !delivery.isSettling
    const held = deliveries.filter((each) => each instanceof RedisDelivery).filter(isOurs)
    if (held.length === 0) return
    const leaseUntil = clock.now() + leaseMs
    const args = held.flatMap(({ source, id, count }): Argument[] => [source, id, count])
    const reply = await shared.run(extend, group.sources, [groupName, consumer, ...args])
    const lost = new Set(asArray(reply).map(asNumber))
    held.forEach((delivery, index) => {
      if (!lost.has(index)) delivery.leaseUntil = leaseUntil
    })
    // Some may have been settled meanwhile.
    this.#lose(held.filter((delivery, index) => lost.has(index) && isOurs(delivery)))
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#lost = listener
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave()
    return this.#closing
  }

  async #leave(): Promise<void> {
    const { reader, shared, group, groupName, consumer } = this.#parts
    // The reader goes first: nothing can be delivered to the name any more once it is removed.
    await reader.close()
    await shared.run(leave, group.sources, [groupName, consumer, 0])
  }

  async #holders(): Promise<readonly string[]> {
    const { reader, group, groupName } = this.#parts
    const keys = [group.watched, ...group.sources]
    return asArray(await reader.run(holders, keys, [presenceIntervalMs, groupName])).map(asText)
  }

  async #fetch(max: number): Promise<RedisDelivery[]> {
    const { reader, group, groupName, consumer, clock } = this.#parts
    const leaseUntil = clock.now() + this.leaseMs
    const args: Argument[] = [groupName, consumer, max, usualContentType]
    for (const _ of group.sources) args.push('>', '', '')
    const [rows] = asArray(await reader.run(fetch, this.#fetchKeys, args))
    return this.#hold(fromRows(rows, leaseUntil))
  }

  /** Until something arrives, something may be due, or the signal fires. */
  async #wait(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const { reader, upkeep, group, groupName, consumer, clock } = this.#parts
    const { sources } = group
    // COUNT is a limit for each stream.
    const count = Math.floor(max / sources.length)
    const block = ['BLOCK', upkeep.blockMs, 'STREAMS', ...sources]
    this.#isEmpty = false
    if (count === 0) {
      const ids = asArray(await reader.run(positions, sources, [groupName])).map(asText)
      await reader.block(signal, 'XREAD', 'COUNT', 1, ...block, ...ids)
      return []
    }
    const leaseUntil = clock.now() + this.leaseMs
    const args = ['GROUP', groupName, consumer, 'COUNT', count, ...block, ...sources.map(() => '>')]
    const reply = await reader.block(signal, 'XREADGROUP', ...args)
    const deliveries = fromStreams(reply, this.#sourceOf, leaseUntil)
    // Less than the limit of a single stream.
    this.#isEmpty = deliveries.length < count
    return this.#hold(deliveries)
  }

  async #reclaim(max: number): Promise<RedisDelivery[]> {
    const { reader, group, groupName, consumer, clock, emit } = this.#parts
    const now = clock.now()
    this.#reclaimAt = now + this.#reclaimIntervalMs
    const reply = await reader.run(reclaim, group.sources, [
      groupName,
      consumer,
      this.leaseMs,
      max,
      3 * this.#reclaimIntervalMs,
    ])
    const [rows, deleted] = asArray(reply)
    const gone = asNumber(deleted)
    if (gone > 0) emit({ type: 'warning', message: deletedWarning(gone, groupName) })
    const claims = this.#hold(fromClaims(rows, now + this.leaseMs))
    // There may be more where a full load came from.
    if (claims.length >= max) this.#reclaimAt = now
    return claims
  }

  #hold(deliveries: RedisDelivery[]): RedisDelivery[] {
    const lost: RedisDelivery[] = []
    for (const delivery of deliveries) {
      const earlier = this.#holdings.add(delivery)
      if (earlier !== undefined) lost.push(earlier)
    }
    if (lost.length > 0) this.#lost(lost)
    return deliveries
  }

  #lose(deliveries: readonly RedisDelivery[]): void {
    for (const delivery of deliveries) this.#holdings.remove(delivery)
    if (deliveries.length > 0) this.#lost(deliveries)
  }
}

// How late at most a lease that ran out is noticed, when leases are long.
const longestReclaimIntervalMs = 2000

export function deletedWarning(count: number, group: string): string {
  return `${count} entries were deleted while group ${group} had them in hand: somebody trims or deletes from the stream by other means`
}
