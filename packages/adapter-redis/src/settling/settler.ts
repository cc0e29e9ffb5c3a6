import {
  type Clock,
  deadLetterIdOf,
  type Outcome,
  type Settlement,
  toMessagingError,
} from '@waybill/core/driver'
import type { SharedConnection } from '../connection/connection.ts'
import { settle } from '../scripts/settle.ts'
import { chunksOfBytes } from '../wire/chunks.ts'
import { RedisDelivery } from '../wire/delivery.ts'
import {
  type Argument,
  encodeFields,
  type Fields,
  fromErrorReply,
  type GroupKeys,
  lineOfHeaders,
  type TopicKeys,
} from '../wire/messages.ts'
import { asArray, asNumber, asUtf8 } from '../wire/reply.ts'
import type { Holdings } from './holdings.ts'

export interface SettlerSettings {
  readonly shared: SharedConnection
  readonly clock: Clock
  readonly topic: TopicKeys
  readonly group: GroupKeys
  readonly groupName: string
  /** Under whose name the deliveries are pending. */
  readonly consumer: string
  readonly ordered: boolean
  readonly leaseMs: number
}

interface Copy {
  readonly index: number
  readonly delivery: RedisDelivery
  readonly args: readonly Argument[]
  readonly bytes: number
}

const settled: Outcome = Object.freeze({ ok: true })

/** Carries verdicts out: acks as one XACK a stream, all else in a script that checks whose delivery it is. */
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

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(settlements.length).fill(settled)
    const acks: { index: number; delivery: RedisDelivery }[][] = []
    const copies: Copy[] = []
    const safeUntil = this.#settings.clock.now() + this.#marginMs
    settlements.forEach((settlement, index) => {
      const { delivery, verdict } = settlement
      if (!(delivery instanceof RedisDelivery) || !this.#holdings.has(delivery)) return
      delivery.isSettling = true
      if (verdict.kind !== 'ack' || delivery.leaseUntil < safeUntil)
        copies.push(this.#copy(index, delivery, settlement))
      else {
        acks[delivery.source] ??= []
        acks[delivery.source]?.push({ index, delivery })
      }
    })
    const fail = (index: number, thrown: unknown) => {
      outcomes[index] = { ok: false, error: toMessagingError(thrown, 'Settling failed') }
      const delivery = settlements[index]?.delivery
      if (delivery instanceof RedisDelivery) delivery.isSettling = false
    }
    await Promise.all([
      ...acks.map((acked, source) => this.#ack(source, acked, fail)),
      ...chunksOfBytes(copies).map((chunk) => this.#run(chunk, fail)),
    ])
    return outcomes
  }

  async #ack(
    source: number,
    acked: readonly { readonly index: number; readonly delivery: RedisDelivery }[],
    fail: (index: number, thrown: unknown) => void,
  ): Promise<void> {
    const { shared, group, groupName } = this.#settings
    try {
      await shared.call(
        'XACK',
        group.sources[source] ?? '',
        groupName,
        ...acked.map(({ delivery }) => delivery.id),
      )
      for (const { delivery } of acked) this.#holdings.remove(delivery)
    } catch (error) {
      for (const { index } of acked) fail(index, error)
    }
  }

  async #run(copies: readonly Copy[], fail: (index: number, thrown: unknown) => void): Promise<void> {
    const { shared, topic, group, groupName, consumer } = this.#settings
    const keys = [topic.topic, group.delayed, group.dead, group.deadIndex, ...group.sources]
    try {
      const reply = await shared.run(settle, keys, [
        groupName,
        consumer,
        ...copies.flatMap(({ args }) => args),
      ])
      const failures = new Map<number, string>()
      const flat = asArray(reply)
      for (let at = 0; at + 1 < flat.length; at += 2) failures.set(asNumber(flat[at]), asUtf8(flat[at + 1]))
      copies.forEach(({ index, delivery }, position) => {
        const failure = failures.get(position)
        if (failure === undefined) this.#holdings.remove(delivery)
        else fail(index, fromErrorReply(failure, 'Redis refused the copy, so the delivery stays unsettled'))
      })
    } catch (error) {
      for (const { index } of copies) fail(index, error)
    }
  }

  #copy(index: number, delivery: RedisDelivery, { verdict }: Settlement): Copy {
    const { ordered } = this.#settings
    const { body, contentType, source, id, count } = delivery
    const headers =
      verdict.kind === 'retry' || verdict.kind === 'dead-letter' ? verdict.headers : delivery.headers
    // On an ordered topic a copy stays in its partition.
    const line = ordered ? source >> 1 : lineOfHeaders(headers)
    let detail: string | number = 0
    let fields: Fields = []
    switch (verdict.kind) {
      case 'ack':
        break
      case 'retry':
        detail = Math.ceil(verdict.delayMs)
        fields = encodeFields({ body, contentType, headers })
        break
      case 'release':
        // Given back is not died with: this delivery does not count.
        fields = encodeFields(delivery, { earlierDeliveries: delivery.deliveries - 1 })
        break
      case 'dead-letter':
        detail = deadLetterIdOf(headers) ?? id
        fields = encodeFields({ body, contentType, headers }, { line })
        break
    }
    const args = [verdict.kind, source, id, count, line, detail, fields.length, ...fields]
    return { index, delivery, args, bytes: body.byteLength }
  }
}
