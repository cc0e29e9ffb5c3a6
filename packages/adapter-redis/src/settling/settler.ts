import {
  type Clock,
  deadLetterIdOf,
  type MessagingError,
  type Outcome,
  type Settlement,
  toMessagingError,
  type Verdict,
} from '@waybill/core/driver'
import { bounded, done, failed, inChunks } from '@waybill/core/driver-kit'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { fromErrorReply } from '../errors.ts'
import { bounds } from '../wire/bounds.ts'
import { listOf } from '../wire/call.ts'
import { RedisDelivery } from '../wire/delivery.ts'
import { encodeFields, type Fields } from '../wire/entries.ts'
import { type GroupKeys, lineOfHeaders, returnedName, type TopicKeys } from '../wire/names.ts'
import { asNumber, asText } from '../wire/reply.ts'
import type { Holdings } from './holdings.ts'

export interface SettlerSettings {
  readonly shared: SharedConnection
  readonly clock: Clock
  readonly topic: TopicKeys
  readonly group: GroupKeys
  readonly groupName: string
  /** Under whose name the deliveries are pending. */
  readonly consumer: () => string
  /** Ordered topics: who owns the partition, as the broker has it. Undefined: it is no longer ours. */
  readonly ownerOf?: (partition: number) => string | undefined
  readonly leaseMs: number
  readonly requestTimeoutMs: number
}

interface Item {
  readonly index: number
  readonly delivery: RedisDelivery
  /** What the script gets of it, by name. */
  readonly described: object
  readonly fields: Fields
  readonly bytes: number
}

type Fail = (index: number, error: MessagingError) => void

/** Carries out verdicts: acks as one XACK per stream, everything else in a script that checks who owns the delivery. */
export class Settler {
  readonly #settings: SettlerSettings
  readonly #holdings: Holdings
  // An ack sent so shortly before the lease ends might arrive after it.
  readonly #marginMs: number

  constructor(settings: SettlerSettings, holdings: Holdings) {
    this.#settings = settings
    this.#holdings = holdings
    this.#marginMs = Math.min(1000, settings.leaseMs / 5)
  }

  /** The signal ends the waiting, not what is on its way. */
  settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const { clock, requestTimeoutMs } = this.#settings
    const settled = this.#settle(settlements)
    if (signal === undefined) return settled
    return bounded(settled, { clock, timeoutMs: 2 * requestTimeoutMs, what: 'Settling', signal })
  }

  async #settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(settlements.length).fill(done)
    const acks: { index: number; delivery: RedisDelivery }[][] = []
    const items: Item[] = []
    const safeUntil = this.#settings.clock.monotonic() + this.#marginMs
    settlements.forEach((settlement, index) => {
      const { delivery, verdict } = settlement
      if (!(delivery instanceof RedisDelivery)) return
      if (!this.#holdings.has(delivery)) {
        outcomes[index] = failed(fromErrorReply('STALE the delivery is no longer ours', 'Settling'))
        return
      }
      delivery.isSettling = true
      if (verdict.kind !== 'ack' || delivery.leaseUntil < safeUntil)
        items.push(this.#item(index, delivery, verdict))
      else {
        acks[delivery.source] ??= []
        acks[delivery.source]?.push({ index, delivery })
      }
    })
    const fail: Fail = (index, error) => {
      outcomes[index] = failed(error)
      const delivery = settlements[index]?.delivery
      if (!(delivery instanceof RedisDelivery)) return
      delivery.isSettling = false
      if (error.code === 'stale') this.#holdings.remove(delivery)
    }
    await Promise.all([
      ...acks.map((acked, source) => this.#ack(source, acked, fail)),
      ...inChunks(items, bounds).map((chunk) => this.#run(chunk, fail)),
    ])
    return outcomes
  }

  /**
   * Gives back to the group what core does not settle: `expire`, what it no longer extends, which counts as a crash;
   * `release`, what never reached it, which does not.
   */
  async giveBack(kind: 'expire' | 'release', deliveries: readonly RedisDelivery[]): Promise<void> {
    const items = deliveries.map((delivery, index) => this.#item(index, delivery, { kind }))
    for (const delivery of deliveries) delivery.isSettling = true
    await Promise.all(inChunks(items, bounds).map((chunk) => this.#run(chunk, () => {})))
  }

  async #ack(
    source: number,
    acked: readonly { readonly index: number; readonly delivery: RedisDelivery }[],
    fail: Fail,
  ): Promise<void> {
    const { shared, group, groupName } = this.#settings
    try {
      const ids = acked.map(({ delivery }) => delivery.id)
      await shared.call('XACK', group.sources[source] ?? '', groupName, ...ids)
      for (const { delivery } of acked) this.#holdings.remove(delivery)
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Settling failed')
      for (const { index } of acked) fail(index, error)
    }
  }

  async #run(items: readonly Item[], fail: Fail): Promise<void> {
    const { shared, topic, group, groupName, consumer } = this.#settings
    const { sources, own, delayed, delayedEntries, dead, deadIndex, owners, wake } = group
    try {
      const { fields } = await shared.run('settle', {
        keys: {
          ...{ topic: topic.topic, sources, own, dead, deadIndex, owners },
          ...{ groupDelayed: delayed, groupDelayedEntries: delayedEntries, groupWake: wake },
        },
        args: {
          ...{ group: groupName, consumer: consumer(), returned: returnedName },
          settlements: items.map(({ described }) => described),
        },
        values: items.flatMap((item) => item.fields),
      })
      const failures = new Map(
        listOf(fields.failures).map((each) => [asNumber(each.index), asText(each.error)]),
      )
      items.forEach(({ index, delivery }, position) => {
        const failure = failures.get(position)
        if (failure === undefined) this.#holdings.remove(delivery)
        else
          fail(
            index,
            fromErrorReply(failure, 'Redis refused the settlement, so the delivery stays unsettled'),
          )
      })
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Settling failed')
      for (const { index } of items) fail(index, error)
    }
  }

  #item(index: number, delivery: RedisDelivery, verdict: Verdict | { readonly kind: 'expire' }): Item {
    const { ownerOf } = this.#settings
    const { source, id, count, body, contentType } = delivery
    const headers = 'headers' in verdict ? verdict.headers : delivery.headers
    const partition = source >> 1
    // On an ordered topic a copy stays in its partition; what is released stays where it is.
    const isCopy = verdict.kind === 'retry' || verdict.kind === 'dead-letter'
    const line = ownerOf === undefined && isCopy ? lineOfHeaders(headers) : partition
    const fields =
      verdict.kind === 'retry' || verdict.kind === 'dead-letter'
        ? encodeFields({ body, contentType, headers }, verdict.kind === 'retry' ? undefined : line)
        : []
    const described = {
      ...{ verdict: verdict.kind, source, id, count, line, size: fields.length },
      ...(verdict.kind === 'retry' && { delay: Math.ceil(verdict.delayMs) }),
      ...(verdict.kind === 'dead-letter' && { letter: deadLetterIdOf(headers) ?? id }),
      ...(ownerOf !== undefined && { partition, owner: ownerOf(partition) ?? '' }),
    }
    return { index, delivery, described, fields, bytes: fields.length === 0 ? 0 : body.byteLength }
  }
}
