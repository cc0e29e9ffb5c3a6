import { MessagingError } from '@waybill/core/driver'
import type { FetchedRecords, Logs } from '../client/logs.ts'
import type { ConsumedRecord } from '../wire/records.ts'

/** The part of the gateway that reading a log needs. */
export interface LogGateway {
  readonly logs: Pick<Logs, 'offsets' | 'read'>
}

type Borrow = <Answer>(what: string, work: (gateway: LogGateway) => Promise<Answer>) => Promise<Answer>

// One fetch; the answer of a broker that has more comes at once.
const fetchBytes = 4 * 1024 * 1024
const fetchWaitMs = 100
/** How often the same place is read before it counts as empty. */
const emptyTries = 20

/** Reads a topic of one partition through, without a consumer group, and later what came since. */
export class LogReader {
  readonly #administer: Borrow
  readonly #topic: string
  #readUpTo = 0

  constructor(administer: Borrow, topic: string) {
    this.#administer = administer
    this.#topic = topic
  }

  /** `onAnew`: what was read before is now void, because the topic was recreated. */
  async readOn(onRecord: (record: ConsumedRecord) => void, onAnew: () => void): Promise<void> {
    const topic = this.#topic
    const [start, end] = await this.#administer(`Reading topic ${topic}`, async (gateway) => {
      const earliest = await gateway.logs.offsets(topic, 'earliest')
      const latest = await gateway.logs.offsets(topic, 'latest')
      return [earliest.get(0) ?? 0, latest.get(0) ?? 0]
    })
    if (end < this.#readUpTo) {
      onAnew()
      this.#readUpTo = 0
    }
    this.#readUpTo = Math.max(this.#readUpTo, start)
    while (this.#readUpTo < end) {
      const { records, next } = await this.fetch(this.#readUpTo)
      // Compaction may have removed all that is left. Or the broker returned nothing this time, so it is asked again.
      if (next === this.#readUpTo) return
      for (const record of records) onRecord(record)
      this.#readUpTo = next
    }
  }

  /** `next` is `from` when nothing was returned: an answer without records does not mean the end of the log. */
  async fetch(from: number): Promise<FetchedRecords> {
    const topic = this.#topic
    return this.#administer(`Reading topic ${topic}`, async (gateway) => {
      const read = () => gateway.logs.read(topic, 0, from, { maxBytes: fetchBytes, maxWaitMs: fetchWaitMs })
      let answer = await read()
      for (let tries = 1; answer.next === from && tries < emptyTries; tries += 1) answer = await read()
      if (answer.next === from && answer.isThrottled) throw this.withheld()
      return answer
    })
  }

  /** The error for a broker that returns nothing although it has more. */
  withheld(): MessagingError {
    const message = `The broker returned nothing of topic ${this.#topic} although there is more, perhaps because of a quota; try again later`
    return new MessagingError('throttled', message, { retryable: true })
  }
}
