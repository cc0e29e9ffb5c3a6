import type { Delivery, Outcome, Settlement, Subscription } from '@waybill/core/driver'
import { done } from '@waybill/core/driver-kit'
import { Holdings } from '../settling/holdings.ts'
import { Settler } from '../settling/settler.ts'
import { bounds } from '../wire/bounds.ts'
import { listOf } from '../wire/call.ts'
import { fromAnswer, RedisDelivery } from '../wire/delivery.ts'
import { decodeFields, usualContentType } from '../wire/entries.ts'
import { compareIds } from '../wire/ids.ts'
import { partitionReader } from '../wire/names.ts'
import { asArray, asNumber, asText } from '../wire/reply.ts'
import { deletedWarning, endsSubscription, readStep } from './fetching.ts'
import type { SubscriptionParts } from './group-subscription.ts'
import { Membership } from './membership.ts'
import { type Owned, Ownership, sourcesOf } from './ownership.ts'
import { strays } from './strays.ts'
import { Wake } from './wake.ts'

/**
 * A member of a group on an ordered topic. Each partition belongs to one member at a time, which alone reads it; so order
 * within a key is the partition's order. Members share the partitions evenly under a lease that each renews for itself. One
 * that has too many stops reading some, and gives each up once nothing of it is in hand, however long that takes. What a
 * member leaves behind is pending under a name that all owners use, so the next owner reads it first, in its old order.
 */
export class OrderedSubscription implements Subscription {
  readonly leaseMs: number
  readonly #parts: SubscriptionParts
  readonly #partitions: number
  readonly #holdings: Holdings
  readonly #settler: Settler
  readonly #membership: Membership
  readonly #ownership = new Ownership()
  readonly #wake: Wake
  readonly #endReopened: () => void
  /** Ours and in nobody's hand, in order: what core gave back, and what was fetched behind it. */
  #ready: RedisDelivery[] = []
  /** How many members the group has. */
  #members = 0
  #tending: Promise<void> | undefined
  /** The answer to a fetch was lost, perhaps with entries in it. */
  #mayHaveStrays = false
  #fetching: Promise<void> | undefined
  #lost: (deliveries: readonly Delivery[]) => void = () => {}
  #closing: Promise<void> | undefined

  private constructor(parts: SubscriptionParts, partitions: number) {
    const { leaseMs, group, topic, shared, upkeep } = parts
    this.leaseMs = leaseMs
    this.#parts = parts
    this.#partitions = partitions
    this.#holdings = new Holdings(group.sources.length)
    this.#membership = new Membership({ ...parts, held: [] })
    this.#settler = new Settler(
      {
        ...parts,
        consumer: () => partitionReader,
        ownerOf: (partition) => this.#ownership.of(partition)?.owner,
      },
      this.#holdings,
    )
    this.#wake = new Wake({
      ...parts,
      channels: [topic.wake, group.wake],
      concerns: (line) => this.#ownership.of(line) !== undefined,
      onDue: (inMs) => upkeep.dueIn(inMs),
      onChange: () => upkeep.soon(),
    })
    this.#endReopened = shared.onOpened(() => void this.#tend().catch(() => undefined))
  }

  static async start(parts: SubscriptionParts, partitions: number): Promise<OrderedSubscription> {
    const subscription = new OrderedSubscription(parts, partitions)
    await Promise.all([subscription.#tend(), subscription.#wake.listen()])
    return subscription
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    const { upkeep, memory } = this.#parts
    // Each turn of waiting lets the handlers of what came before go first, and the server rests meanwhile.
    const passing = memory.pass()
    if (passing !== undefined) await passing
    const moving = upkeep.moveDue()
    if (moving !== undefined) await moving
    if (upkeep.isTendDue) await this.#tend()
    while (!signal.aborted) {
      if (this.#wake.take()) {
        const readable = this.#ownership.readable()
        // What is there already comes first; what is fetched then goes behind it.
        if (this.#takeReady(readable, 1, false).length === 0) {
          this.#fetching = this.#fetch(readable, max)
          await this.#fetching
        }
        if (this.#closing !== undefined) return []
        const taken = this.#takeReady(readable, max, true)
        if (taken.length > 0) return taken
      }
      await this.#wake.wait(upkeep.untilDue, signal)
      if (upkeep.untilDue <= 0) return []
    }
    return []
  }

  async settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const atBroker = settlements.filter(({ verdict, delivery }) => {
      if (verdict.kind !== 'release' || !(delivery instanceof RedisDelivery)) return true
      if (!this.#holdings.has(delivery)) return true
      this.#takeBack(delivery)
      if (verdict.toOthers) this.#leaveToOthers(delivery)
      return false
    })
    this.#leaveSoon()
    if (atBroker.length === 0) return settlements.map(() => done)
    const outcomes = await this.#settler.settle(atBroker, signal)
    this.#leaveSoon()
    if (atBroker.length === settlements.length) return outcomes
    const byDelivery = new Map(atBroker.map(({ delivery }, index) => [delivery, outcomes[index]]))
    return settlements.map(({ delivery }) => byDelivery.get(delivery) ?? done)
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    await this.#tend()
    // The partition's lease bounds that of its deliveries.
    const leaseUntil = Math.min(this.#membership.leaseUntil, this.#parts.clock.monotonic() + leaseMs)
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

  /** One after the other: what an earlier answer says of our partitions must not be taken for the later one's. */
  #tend(): Promise<void> {
    const tending = (this.#tending ?? Promise.resolve()).catch(() => undefined).then(() => this.#tendNow())
    this.#tending = tending
    return tending
  }

  /** Renews our lease, gives up what is left of our surplus, takes what is free of our share. */
  async #tendNow(): Promise<void> {
    const { group, upkeep } = this.#parts
    if (this.#closing !== undefined) return
    const leaving = this.#leavingNow()
    await this.#handOver(
      this.#ready.filter(({ source }) => leaving.some(({ partition }) => partition === source >> 1)),
    )
    for (const owned of leaving) this.#disown(owned)
    const givenUp = leaving.map(({ partition, owner, isForOthers }) => ({
      ...{ partition, owner, forOthers: isForOthers },
    }))
    const sources = this.#ownership.readable().flatMap(({ partition }) => sourcesOf(partition))
    const answer = await this.#membership.tend(
      sources.map((source) => group.sources[source] ?? ''),
      { partitions: this.#partitions, givenUp },
    )
    if (answer === undefined) {
      for (const owned of this.#ownership.clear()) this.#disown(owned)
      return
    }
    const { fields } = answer
    const owners = new Map(listOf(fields.owned).map((each) => [asNumber(each.partition), asText(each.owner)]))
    const members = asNumber(fields.total)
    if (members !== this.#members) this.#ownership.forgetKept()
    this.#members = members
    const forOthers = listOf(fields.owned).filter((each) => each.forOthers === true)
    const before = this.#ownership.all().length
    const gone = this.#ownership.update(
      owners,
      new Set(forOthers.map(({ partition }) => asNumber(partition))),
    )
    for (const owned of gone) this.#disown(owned)
    this.#ownership.fitTo(asNumber(fields.share), (owned) => this.#inHandOf(owned))
    // What is not busy can go at once.
    if (this.#leavingNow().length > 0) upkeep.soon()
    if (fields.isReady === true || this.#ownership.all().length !== before) this.#wake.set()
    this.#recoverOverdue()
  }

  /** Leaving partitions of which nothing is in hand. A handler that runs keeps its partition, and our lease keeps us. */
  #leavingNow(): readonly Owned[] {
    return this.#ownership.all().filter((owned) => owned.isLeaving && this.#inHandOf(owned).length === 0)
  }

  /** Its whole partition goes, since one member alone reads it. Nobody else would take it while we are alone. */
  #leaveToOthers({ source }: RedisDelivery): void {
    const owned = this.#ownership.of(source >> 1)
    if (owned === undefined || this.#members < 2) return
    owned.isForOthers = true
    owned.isLeaving = true
  }

  #leaveSoon(): void {
    if (this.#leavingNow().length === 0) return
    this.#parts.upkeep.soon()
    this.#wake.notify()
  }

  #inHandOf({ partition }: Owned): readonly RedisDelivery[] {
    return sourcesOf(partition).flatMap((source) => this.#holdings.of(source))
  }

  #disown(owned: Owned): void {
    this.#ready = this.#ready.filter(({ source }) => source >> 1 !== owned.partition)
    const held = this.#inHandOf(owned)
    for (const delivery of held) this.#holdings.remove(delivery)
    if (held.length > 0) this.#lost(held)
  }

  /** What was handed to us in an answer that never came is read once more, and takes its place. */
  async #readStrays(): Promise<void> {
    const { group, groupName, shared } = this.#parts
    for (const owned of this.#ownership.all()) {
      for (const source of sourcesOf(owned.partition)) {
        // What earlier owners left is still to be read.
        if (owned.unread.has(source)) continue
        const stream = group.sources[source] ?? ''
        const isHeld = (id: string) =>
          this.#holdings.hasEntry(source, id) ||
          this.#ready.some((ready) => ready.source === source && ready.id === id)
        for await (const { id, count } of strays({
          shared,
          stream,
          groupName,
          consumer: partitionReader,
          isHeld,
        })) {
          const claim = [stream, groupName, partitionReader, 0, id, 'RETRYCOUNT', count] as const
          const [entry] = asArray(await shared.call('XCLAIM', ...claim))
          const content = decodeFields(asArray(asArray(entry)[1]))
          const isOurs = this.#ownership.of(owned.partition) === owned
          if (entry !== undefined && isOurs)
            this.#putReady([new RedisDelivery(content, { source, id, count }, this.#membership.leaseUntil)])
        }
      }
    }
    this.#mayHaveStrays = false
  }

  async #fetch(readable: readonly Owned[], max: number): Promise<void> {
    const { shared, group, groupName, emit, upkeep } = this.#parts
    if (readable.length === 0) return
    if (this.#mayHaveStrays) await this.#readStrays()
    if (this.#closing !== undefined) return
    const { leaseUntil } = this.#membership
    this.#mayHaveStrays = true
    const reads = readable.flatMap(({ partition, owner, unread }) =>
      sourcesOf(partition).map((source) => ({ source, partition, owner, after: unread.get(source) })),
    )
    const answer = await shared
      .run('fetch', {
        keys: { sources: reads.map(({ source }) => group.sources[source] ?? ''), owners: group.owners },
        args: {
          ...{ group: groupName, consumer: partitionReader, max: Math.min(max, bounds.maxItems) },
          ...{ maxBytes: bounds.maxBytes, step: readStep },
          ...{ usual: usualContentType, reads: reads.map(({ source: _, ...read }) => read) },
        },
      })
      .catch((error) => {
        this.#wake.set()
        return endsSubscription(error)
      })
    this.#mayHaveStrays = false
    const { fields } = answer
    const sources = reads.map(({ source }) => source)
    // A partition can have been lost while its entries were on their way; its next owner reads them again.
    const deliveries = fromAnswer(answer, leaseUntil, sources).filter(({ source }) => {
      const owned = this.#ownership.of(source >> 1)
      return owned !== undefined && readable.includes(owned)
    })
    for (const { source, id } of deliveries) {
      const unread = this.#ownership.of(source >> 1)?.unread
      if (unread?.has(source)) unread.set(source, id)
    }
    for (const index of asArray(fields.finished)) {
      const source = sources[asNumber(index)]
      if (source !== undefined) this.#ownership.of(source >> 1)?.unread.delete(source)
    }
    const gone = asNumber(fields.deleted)
    if (gone > 0) emit({ type: 'warning', message: deletedWarning(gone, groupName) })
    if (asArray(fields.lost).length > 0) upkeep.soon()
    // Where pending ones were read, new ones were not.
    if (fields.more === true || asArray(fields.finished).length > 0) this.#wake.set()
    this.#putReady(deliveries)
  }

  /** In order, whenever they came: what core gave back while others were fetched comes before them. */
  #putReady(deliveries: readonly RedisDelivery[]): void {
    // What comes by itself is in the order of each source already.
    const isAlone = this.#ready.length === 0
    this.#ready.push(...deliveries)
    if (isAlone) return
    this.#ready.sort((a, b) => a.source - b.source || compareIds(a.id, b.id))
  }

  #takeReady(readable: readonly Owned[], max: number, take: boolean): readonly RedisDelivery[] {
    if (this.#ready.length === 0) return []
    const partitions = new Set(readable.map(({ partition }) => partition))
    const taken = this.#ready.filter(({ source }) => partitions.has(source >> 1)).slice(0, max)
    if (!take || taken.length === 0) return taken
    const gone = new Set(taken)
    this.#ready = taken.length === this.#ready.length ? [] : this.#ready.filter((each) => !gone.has(each))
    for (const delivery of taken) this.#holdings.add(delivery)
    if (this.#ready.length > 0) this.#wake.set()
    return taken
  }

  /** Core's lease on a delivery ends without ours on the partition: it is handed out again, as any lapsed delivery is. */
  #recoverOverdue(): void {
    const now = this.#parts.clock.monotonic()
    const graceMs = Math.min(5000, this.leaseMs / 3)
    const overdue = this.#holdings
      .all()
      .filter(({ leaseUntil, isSettling }) => !isSettling && leaseUntil + graceMs <= now)
    for (const delivery of overdue) this.#takeBack(delivery, 1)
    if (overdue.length > 0) this.#lost(overdue)
  }

  /** `expired`: how many leases ran out more, which counts as a death does. */
  #takeBack(delivery: RedisDelivery, expired = 0): void {
    this.#holdings.remove(delivery)
    const counted = delivery.deliveries - delivery.count + expired
    this.#putReady([new RedisDelivery(delivery, delivery, this.#membership.leaseUntil, counted)])
    this.#wake.set()
  }

  /** They stay pending for the next owner; that we had them does not count. */
  async #handOver(deliveries: readonly RedisDelivery[], givenUp: readonly Owned[] = []): Promise<void> {
    const { shared, group, groupName } = this.#parts
    const held = deliveries.map(({ source, id, count }) => {
      const partition = source >> 1
      return { source, id, count, partition, owner: this.#ownership.of(partition)?.owner ?? '' }
    })
    const keys = { sources: group.sources, owners: group.owners }
    for (let first = 0; first < held.length; first += bounds.maxItems) {
      const some = held.slice(first, first + bounds.maxItems)
      const args = { group: groupName, reader: partitionReader, held: some, givenUp: [] }
      await shared.run('handOver', { keys, args })
    }
    if (givenUp.length === 0) return
    const owners = givenUp.map(({ partition, owner }) => ({ partition, owner }))
    await shared.run('handOver', {
      keys,
      args: { group: groupName, reader: partitionReader, held: [], givenUp: owners },
    })
  }

  async #leave(): Promise<void> {
    this.#endReopened()
    this.#wake.close()
    this.#parts.onClosed()
    await this.#tending?.catch(() => undefined)
    // What is on its way to us is handed over too.
    await this.#fetching?.catch(() => undefined)
    await this.#handOver([...this.#holdings.all(), ...this.#ready], this.#ownership.all())
    await this.#membership.leave()
  }
}
