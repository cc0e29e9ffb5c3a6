import type { Clock, Delivery, DriverContext, Outcome, Settlement, Subscription } from '@waybill/core/driver'
import type { MemoryWatch } from '../connection/memory-watch.ts'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { Holdings } from '../settling/holdings.ts'
import { Settler } from '../settling/settler.ts'
import { bounds } from '../wire/bounds.ts'
import { fromAnswer, RedisDelivery } from '../wire/delivery.ts'
import { noHeaders, usualContentType } from '../wire/entries.ts'
import { type GroupKeys, returnedName, type TopicKeys } from '../wire/names.ts'
import { asNumber } from '../wire/reply.ts'
import { deletedWarning, endsSubscription, readStep } from './fetching.ts'
import { Membership } from './membership.ts'
import { strays } from './strays.ts'
import type { Upkeep } from './upkeep.ts'
import { Wake, type WakeSettings } from './wake.ts'

export interface SubscriptionParts extends Pick<WakeSettings, 'listening'> {
  readonly shared: SharedConnection
  readonly memory: MemoryWatch
  readonly upkeep: Upkeep
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  readonly instance: string
  readonly nextNumber: () => number
  readonly topic: TopicKeys
  readonly group: GroupKeys
  readonly groupName: string
  readonly leaseMs: number
  readonly requestTimeoutMs: number
  readonly onClosed: () => void
}

/** A member of a group on an unordered topic. What is delivered to it is its own until its lease as a member ends. */
export class GroupSubscription implements Subscription {
  readonly leaseMs: number
  readonly #parts: SubscriptionParts
  readonly #holdings: Holdings
  readonly #settler: Settler
  readonly #membership: Membership
  readonly #wake: Wake
  readonly #endReopened: () => void
  #tending: Promise<unknown> | undefined
  /** The answer to a fetch was lost, perhaps with entries in it. */
  #mayHaveStrays = false
  #lost: (deliveries: readonly Delivery[]) => void = () => {}
  #closing: Promise<void> | undefined

  private constructor(parts: SubscriptionParts) {
    const { group, topic, leaseMs, upkeep, shared } = parts
    this.leaseMs = leaseMs
    this.#parts = parts
    this.#holdings = new Holdings(group.sources.length)
    this.#membership = new Membership({ ...parts, held: group.sources })
    this.#settler = new Settler({ ...parts, consumer: () => this.#membership.name }, this.#holdings)
    this.#wake = new Wake({
      ...parts,
      channels: [topic.wake, group.wake],
      shuffled: group.wake,
      concerns: () => true,
      onDue: (inMs) => upkeep.dueIn(inMs),
      onChange: () => {},
    })
    // Peers learn of the new connection before they miss the old one.
    this.#endReopened = shared.onOpened(() => void this.#tend().catch(() => undefined))
  }

  static async start(parts: SubscriptionParts): Promise<GroupSubscription> {
    const subscription = new GroupSubscription(parts)
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
        const fetched = await this.#fetch(max)
        if (fetched.length > 0) return fetched
      }
      await this.#wake.wait(upkeep.untilDue, signal)
      if (upkeep.untilDue <= 0) return []
    }
    return []
  }

  settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    return this.#settler.settle(settlements, signal)
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    const leaseUntil = this.#parts.clock.monotonic() + leaseMs
    if (!(await this.#tend())) return
    for (const delivery of deliveries) {
      if (delivery instanceof RedisDelivery) delivery.leaseUntil = leaseUntil
    }
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#lost = listener
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave()
    return this.#closing
  }

  async #leave(): Promise<void> {
    this.#endReopened()
    this.#wake.close()
    this.#parts.onClosed()
    await this.#tending?.catch(() => undefined)
    await this.#membership.leave()
  }

  /** One after the other: an answer for a name that we no longer bear must not be taken for one of the new name. */
  #tend(): Promise<boolean> {
    const tending = (this.#tending ?? Promise.resolve()).catch(() => undefined).then(() => this.#tendNow())
    this.#tending = tending
    return tending
  }

  /** Renews our lease. False: all deliveries in hand are lost. */
  async #tendNow(): Promise<boolean> {
    if (this.#closing !== undefined) return false
    const answer = await this.#membership.tend(this.#parts.group.sources)
    if (answer === undefined) {
      this.#lose(this.#holdings.all())
      return false
    }
    if (answer.fields.isReady === true) this.#wake.set()
    await this.#giveBackOverdue()
    return true
  }

  /** What core no longer extends goes back to the group, for somebody else. */
  async #giveBackOverdue(): Promise<void> {
    const now = this.#parts.clock.monotonic()
    // Not before core had the time to extend, when the event loop was blocked.
    const graceMs = Math.min(5000, this.leaseMs / 3)
    const overdue = this.#holdings
      .all()
      .filter(({ leaseUntil, isSettling }) => !isSettling && leaseUntil + graceMs <= now)
    if (overdue.length === 0) return
    await this.#settler.giveBack('expire', overdue)
    this.#lose(overdue)
  }

  /** What was handed to us in an answer that never came goes back to the group. */
  async #giveBackStrays(): Promise<void> {
    const { group, groupName, shared } = this.#parts
    const consumer = this.#membership.name
    const found: RedisDelivery[] = []
    for (const [source, stream] of group.sources.entries()) {
      const isHeld = (id: string) => this.#holdings.hasEntry(source, id)
      for await (const { id, count } of strays({ shared, stream, groupName, consumer, isHeld }))
        found.push(new RedisDelivery(nothing, { source, id, count }, 0))
    }
    await this.#settler.giveBack('release', found)
    this.#mayHaveStrays = false
  }

  async #fetch(max: number): Promise<readonly RedisDelivery[]> {
    const { shared, group, groupName, clock, emit } = this.#parts
    if (this.#mayHaveStrays) await this.#giveBackStrays()
    // What is fetched after we have left would be nobody's.
    if (this.#closing !== undefined) return []
    const leaseUntil = clock.monotonic() + this.leaseMs
    const consumer = this.#membership.name
    this.#mayHaveStrays = true
    const answer = await shared
      .run('fetch', {
        keys: { sources: group.sources },
        args: {
          ...{ group: groupName, consumer, max: Math.min(max, bounds.maxItems) },
          ...{ maxBytes: bounds.maxBytes, step: readStep },
          ...{ usual: usualContentType, returned: returnedName },
        },
      })
      .catch((error) => {
        // It may exist all the same; the next receive finds out.
        this.#wake.set()
        return endsSubscription(error)
      })
    this.#mayHaveStrays = false
    const gone = asNumber(answer.fields.deleted)
    if (gone > 0) emit({ type: 'warning', message: deletedWarning(gone, groupName) })
    if (answer.fields.more === true) this.#wake.set()
    const deliveries = fromAnswer(answer, leaseUntil)
    // Taken for dead while it was on its way: it goes back with the rest under the old name.
    if (consumer !== this.#membership.name) return []
    const earlier = deliveries.flatMap((delivery) => this.#holdings.add(delivery) ?? [])
    if (earlier.length > 0) this.#lost(earlier)
    return deliveries
  }

  #lose(deliveries: readonly RedisDelivery[]): void {
    for (const delivery of deliveries) this.#holdings.remove(delivery)
    if (deliveries.length > 0) this.#lost(deliveries)
  }
}

// Giving back needs no body.
const nothing = { body: Buffer.alloc(0), contentType: undefined, headers: noHeaders }
