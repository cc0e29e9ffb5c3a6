import { type Delivery, type Outcome, type Settlement, type Subscription, sleep } from '@waybill/core/driver'
import { claim } from '../scripts/claim.ts'
import { fetch } from '../scripts/fetch.ts'
import { handOver } from '../scripts/hand-over.ts'
import { positions } from '../scripts/positions.ts'
import { Holdings } from '../settling/holdings.ts'
import { Settler } from '../settling/settler.ts'
import { fromRows, RedisDelivery } from '../wire/delivery.ts'
import { type Argument, compareIds, partitionReader, usualContentType } from '../wire/messages.ts'
import { asArray, asNumber, asText } from '../wire/reply.ts'
import { Presence } from './presence.ts'
import { deletedWarning, type SubscriptionParts } from './subscription.ts'

/** A partition that is ours. */
interface Owned {
  readonly partition: number
  /** As the broker has it: whoever owns the partition later has another. */
  readonly owner: string
  /** By source of the partition (own, topic's): the id after which pending entries of earlier owners are still to be read. */
  readonly unread: Map<number, string>
  /** Nothing new is read any more; until when we wait for what is in hand. Undefined while it is to stay ours. */
  leavingUntil: number | undefined
}

/**
 * A member of a group on an ordered topic. Each partition belongs to one member at a time, which alone reads it; so order
 * within a key is the partition's order. Members share the partitions evenly under a lease that each renews for itself. One
 * that has too many stops reading some, and gives them up once nothing of them is in hand. What a member leaves behind is
 * pending under a name that all owners use, so the next owner reads it first, in its old order.
 */
export class PartitionSubscription implements Subscription {
  readonly leaseMs: number
  readonly #parts: SubscriptionParts
  readonly #partitions: number
  readonly #holdings: Holdings
  readonly #settler: Settler
  readonly #presence: Presence
  readonly #claimIntervalMs: number
  readonly #owned = new Map<number, Owned>()
  /** Given back by core, and still pending at the broker: handed out again before anything that is read. */
  #returned: RedisDelivery[] = []
  #claimAt = 0
  #leaseUntil = 0
  #turn = 0
  #lost: (deliveries: readonly Delivery[]) => void = () => {}
  #closing: Promise<void> | undefined

  constructor(parts: SubscriptionParts, partitions: number) {
    const { leaseMs, pollIntervalMs, group } = parts
    this.leaseMs = leaseMs
    this.#parts = parts
    this.#partitions = partitions
    this.#holdings = new Holdings(group.sources.length)
    this.#settler = new Settler({ ...parts, consumer: partitionReader, ordered: true }, this.#holdings)
    this.#presence = new Presence({
      ...parts,
      members: async () => asArray(await parts.reader.call('ZRANGE', group.members, 0, -1)).map(asText),
      // Without a lease its partitions are free.
      bury: (member) => parts.reader.call('ZREM', group.members, member),
    })
    this.#claimIntervalMs = Math.min(pollIntervalMs, leaseMs / 4)
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const { upkeep, clock, pollIntervalMs } = this.#parts
    const absence = this.#presence.run()
    if (absence !== undefined) await absence
    if (clock.now() >= this.#claimAt) {
      await this.claim()
      this.#recoverOverdue()
    }
    const due = upkeep.run()
    if (due !== undefined) await due
    if (signal.aborted) return []
    const readable = this.#readable()
    const returned = this.#takeReturned(readable, max)
    if (returned.length > 0) return returned
    if (readable.length === 0) {
      await sleep(clock, pollIntervalMs, signal)
      return []
    }
    const fetched = await this.#fetch(readable, max)
    if (fetched.length > 0 || signal.aborted) return fetched
    await this.#wait(signal)
    return []
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const atBroker = settlements.filter(({ verdict, delivery }) => {
      if (verdict.kind !== 'release' || !(delivery instanceof RedisDelivery)) return true
      if (this.#holdings.has(delivery)) this.#takeBack(delivery, delivery.deliveries)
      return false
    })
    if (atBroker.length === 0) return settlements.map(() => ({ ok: true }))
    const outcomes = await this.#settler.settle(atBroker)
    if (atBroker.length === settlements.length) return outcomes
    const byDelivery = new Map(atBroker.map(({ delivery }, index) => [delivery, outcomes[index]]))
    return settlements.map(({ delivery }) => byDelivery.get(delivery) ?? { ok: true })
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    await this.claim()
    // The partition's lease bounds that of its deliveries.
    const leaseUntil = Math.min(this.#leaseUntil, this.#parts.clock.now() + leaseMs)
    for (const delivery of deliveries) {
      if (delivery instanceof RedisDelivery && this.#holdings.has(delivery)) delivery.leaseUntil = leaseUntil
    }
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#lost = listener
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave()
    return this.#closing
  }

  /** Renews our lease, gives up what is left of our surplus, takes what is free of our share. */
  async claim(): Promise<void> {
    const { shared, clock, group, consumer } = this.#parts
    const now = clock.now()
    this.#claimAt = now + this.#claimIntervalMs
    const leaseUntil = now + this.leaseMs
    const leaving = this.#leavingNow(now)
    const args = [
      consumer,
      this.leaseMs,
      this.#partitions,
      ...leaving.flatMap(({ partition, owner }) => [partition, owner]),
    ]
    const [share, ...ours] = asArray(await shared.run(claim, [group.members, group.owners], args))
    this.#leaseUntil = leaseUntil
    const owners = new Map<number, string>()
    for (let at = 0; at + 1 < ours.length; at += 2) owners.set(asNumber(ours[at]), asText(ours[at + 1]))
    for (const owned of [...this.#owned.values()]) {
      if (owners.get(owned.partition) !== owned.owner) this.#disown(owned)
    }
    for (const [partition, owner] of owners) {
      if (this.#owned.has(partition)) continue
      const unread = new Map([2 * partition, 2 * partition + 1].map((source) => [source, '0']))
      this.#owned.set(partition, { partition, owner, unread, leavingUntil: undefined })
    }
    this.#fitTo(asNumber(share), now)
  }

  /** Marks what is above our share as leaving, the least busy first; what is within it stays. */
  #fitTo(share: number, now: number): void {
    const all = [...this.#owned.values()]
    const surplus = all.length - share
    const busy = (owned: Owned) => this.#heldOf(owned).length
    const order = all.sort(
      (a, b) =>
        Number(b.leavingUntil !== undefined) - Number(a.leavingUntil !== undefined) || busy(a) - busy(b),
    )
    order.forEach((owned, index) => {
      if (index >= surplus) owned.leavingUntil = undefined
      else owned.leavingUntil ??= now + this.leaseMs
    })
    // What is not busy can go at once.
    if (order.slice(0, Math.max(0, surplus)).some((owned) => busy(owned) === 0)) this.#claimAt = now
  }

  /** Leaving partitions of which nothing is in hand, or that have taken too long. */
  #leavingNow(now: number): readonly Owned[] {
    return [...this.#owned.values()].filter(
      (owned) =>
        owned.leavingUntil !== undefined && (this.#heldOf(owned).length === 0 || owned.leavingUntil <= now),
    )
  }

  #heldOf({ partition }: Owned): readonly RedisDelivery[] {
    return [2 * partition, 2 * partition + 1].flatMap((source) => this.#holdings.of(source))
  }

  #disown(owned: Owned): void {
    this.#owned.delete(owned.partition)
    this.#returned = this.#returned.filter(({ source }) => source >> 1 !== owned.partition)
    const held = this.#heldOf(owned)
    for (const delivery of held) this.#holdings.remove(delivery)
    if (held.length > 0) this.#lost(held)
  }

  #readable(): readonly Owned[] {
    const readable = [...this.#owned.values()].filter(({ leavingUntil }) => leavingUntil === undefined)
    // Each time another partition comes first, so that a full one does not starve the others.
    this.#turn += 1
    const first = this.#turn % Math.max(1, readable.length)
    return [...readable.slice(first), ...readable.slice(0, first)]
  }

  async #fetch(readable: readonly Owned[], max: number): Promise<readonly RedisDelivery[]> {
    const { reader, group, groupName, emit } = this.#parts
    const leaseUntil = this.#leaseUntil
    const sources = readable.flatMap(({ partition }) => [2 * partition, 2 * partition + 1])
    const args: Argument[] = [groupName, partitionReader, max, usualContentType]
    for (const owned of readable) {
      for (const source of [2 * owned.partition, 2 * owned.partition + 1]) {
        args.push(owned.unread.get(source) ?? '>', owned.partition, owned.owner)
      }
    }
    const keys = [group.owners, ...sources.map((source) => group.sources[source] ?? '')]
    const [rows, finished, lost, deleted] = asArray(await reader.run(fetch, keys, args))
    // A partition can have been lost while its entries were on their way; its next owner reads them again.
    const deliveries = fromRows(rows, leaseUntil, sources).filter(({ source }) => {
      const owned = this.#owned.get(source >> 1)
      return owned !== undefined && readable.includes(owned)
    })
    for (const delivery of deliveries) {
      this.#holdings.add(delivery)
      const unread = this.#owned.get(delivery.source >> 1)?.unread
      if (unread?.has(delivery.source)) unread.set(delivery.source, delivery.id)
    }
    for (const index of asArray(finished)) {
      const source = sources[asNumber(index)]
      if (source !== undefined) this.#owned.get(source >> 1)?.unread.delete(source)
    }
    const gone = asNumber(deleted)
    if (gone > 0) emit({ type: 'warning', message: deletedWarning(gone, groupName) })
    if (asArray(lost).length > 0) this.#claimAt = 0
    return deliveries
  }

  #takeReturned(readable: readonly Owned[], max: number): readonly RedisDelivery[] {
    const taken: RedisDelivery[] = []
    const kept: RedisDelivery[] = []
    for (const delivery of this.#returned) {
      const isReadable = readable.some(({ partition }) => partition === delivery.source >> 1)
      if (isReadable && taken.length < max) taken.push(delivery)
      else kept.push(delivery)
    }
    this.#returned = kept
    for (const delivery of taken) this.#holdings.add(delivery)
    return taken
  }

  /** Until something arrives in a partition of ours, or we must look again; it takes nothing itself. */
  async #wait(signal: AbortSignal): Promise<void> {
    const { reader, upkeep, clock, group, groupName } = this.#parts
    const readable = this.#readable()
    if (readable.length === 0 || readable.some(({ unread }) => unread.size > 0)) return
    const sources = readable.flatMap(({ partition }) => [2 * partition, 2 * partition + 1])
    const names = sources.map((source) => group.sources[source] ?? '')
    const ids = asArray(await reader.run(positions, names, [groupName])).map(asText)
    const blockMs = Math.max(1, Math.min(upkeep.blockMs, Math.ceil(this.#claimAt - clock.now())))
    await reader.block(signal, 'XREAD', 'COUNT', 1, 'BLOCK', blockMs, 'STREAMS', ...names, ...ids)
  }

  /** Core's lease on a delivery ends without ours on the partition: it is handed out again, as any lapsed delivery is. */
  #recoverOverdue(): void {
    const now = this.#parts.clock.now()
    const overdue = this.#holdings.all().filter(({ leaseUntil }) => leaseUntil <= now)
    for (const delivery of overdue) this.#takeBack(delivery, delivery.deliveries + 1)
    if (overdue.length > 0) this.#lost(overdue)
  }

  #takeBack(delivery: RedisDelivery, deliveries: number): void {
    this.#holdings.remove(delivery)
    const again = new RedisDelivery(delivery, delivery, deliveries, this.#leaseUntil)
    this.#returned.push(again)
    this.#returned.sort((a, b) => a.source - b.source || compareIds(a.id, b.id))
  }

  async #leave(): Promise<void> {
    const { reader, shared, group, groupName, consumer } = this.#parts
    await reader.close()
    const owned = [...this.#owned.values()]
    const args: Argument[] = [groupName, partitionReader, consumer, owned.length]
    for (const { partition, owner } of owned) args.push(partition, owner)
    for (const { source, id, count } of [...this.#holdings.all(), ...this.#returned])
      args.push(source, id, count)
    await shared.run(handOver, [group.members, group.owners, ...group.sources], args)
  }
}
