import { MessagingError, type Outcome } from '@waybill/core/driver'
import { done, withheld } from '@waybill/core/driver-kit'
import { ProducerLine } from '../client/producer-line.ts'
import { isOfSingles, toPublishError } from '../errors.ts'
import type { KafkaCompression, KafkaSettings } from '../options.ts'
import { recordBytes } from '../wire/record-limits.ts'
import type { ProducedRecord } from '../wire/records.ts'

export interface PublishOptions {
  /** After a failure, later records of its key are withheld. Default: false. */
  readonly ordered?: boolean
  /** Default: as the connection's options say. */
  readonly compression?: KafkaCompression
}

/**
 * Produces, with acknowledgement of all in-sync replicas, one batch a topic at a time. kafkajs gives a failed batch's
 * sequence numbers to the next one: the broker could take that for a repetition and drop it. So no batch may follow one
 * whose fate is unknown, and none may overtake one that is tried again; the producer is replaced instead.
 */
export class Publisher {
  readonly #settings: KafkaSettings
  readonly #instance: string
  readonly #warn: (message: string) => void
  readonly #queues = new Map<string, Promise<unknown>>()
  readonly #lines = new Set<ProducerLine>()
  #current: ProducerLine | undefined
  #lineCount = 0
  #closed = false

  constructor(settings: KafkaSettings, instance: string, warn: (message: string) => void) {
    this.#settings = settings
    this.#instance = instance
    this.#warn = warn
  }

  get producer(): ProducerLine['producer'] | undefined {
    return this.#current?.producer
  }

  /** Result i belongs to record i. Never rejects. */
  send(
    topic: string,
    records: readonly ProducedRecord[],
    options: PublishOptions = {},
  ): Promise<readonly Outcome[]> {
    const previous = this.#queues.get(topic)
    const send = () => this.#send(topic, records, options)
    const sent = previous === undefined ? send() : previous.then(send)
    this.#queues.set(topic, sent)
    void sent.then(() => {
      if (this.#queues.get(topic) === sent) this.#queues.delete(topic)
    })
    return sent
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#lines].map((line) => this.#end(line)))
  }

  async #send(
    topic: string,
    records: readonly ProducedRecord[],
    options: PublishOptions,
  ): Promise<readonly Outcome[]> {
    const failedKeys = new Set<ProducedRecord['key']>()
    const outcomes: Outcome[] = []
    let isBroken = false
    for (const batch of this.#split(records)) {
      // What comes after a failure that may pass waits for it, so that keys keep their order.
      if (isBroken) outcomes.push(...batch.map(({ key }) => withheld(textOf(key))))
      else outcomes.push(...(await this.#sendBatch(topic, batch, options, failedKeys)))
      const last = outcomes.at(-1)
      if (last !== undefined && !last.ok && last.error.retryable) isBroken = true
    }
    return outcomes
  }

  /** Kafka holds its limit against batches: each of these fits even if all of it goes to one partition. */
  *#split(records: readonly ProducedRecord[]): Generator<readonly ProducedRecord[]> {
    const limit = this.#settings.maxMessageBytes
    let start = 0
    let bytes = 0
    for (const [index, record] of records.entries()) {
      const size = recordBytes(record)
      if (index > start && bytes + size > limit) {
        yield records.slice(start, index)
        start = index
        bytes = 0
      }
      bytes += size
    }
    yield start === 0 ? records : records.slice(start)
  }

  /** `failedKeys`: of an ordered topic, those of which nothing more may be sent. */
  async #sendBatch(
    topic: string,
    records: readonly ProducedRecord[],
    options: PublishOptions,
    failedKeys: Set<ProducedRecord['key']>,
  ): Promise<readonly Outcome[]> {
    if (failedKeys.size > 0 && records.some(({ key }) => failedKeys.has(key))) {
      const allowed = records.filter(({ key }) => !failedKeys.has(key))
      const sent = (
        allowed.length === 0 ? [] : await this.#sendBatch(topic, allowed, options, failedKeys)
      ).values()
      return records.map((record) =>
        allowed.includes(record) ? (sent.next().value ?? done) : withheld(textOf(record.key)),
      )
    }
    const error = await this.#produce(topic, records, options)
    if (error === undefined) return records.map(() => done)
    if (records.length === 1 || error.fate !== 'not-sent' || !isOfSingles(error)) {
      if (options.ordered) for (const { key } of records) failedKeys.add(key)
      return records.map(() => ({ ok: false, error }))
    }
    // The broker refuses whole batches, and one of the records breaks the topic's own limits.
    const middle = records.length >>> 1
    const first = await this.#sendBatch(topic, records.slice(0, middle), options, failedKeys)
    return [...first, ...(await this.#sendBatch(topic, records.slice(middle), options, failedKeys))]
  }

  async #produce(
    topic: string,
    records: readonly ProducedRecord[],
    options: PublishOptions,
    isAgain = false,
  ): Promise<MessagingError | undefined> {
    if (this.#closed) return new MessagingError('closed', 'The connection is closed', { fate: 'not-sent' })
    const line = this.#line()
    line.uses += 1
    let attempted = false
    try {
      await line.connected
      attempted = true
      await line.send(topic, records, options.compression)
      return undefined
    } catch (thrown) {
      const isOther = line.knowsOther(topic)
      this.#retire(line)
      const error = toPublishError(thrown, topic, attempted)
      // kafkajs asks for all topics it ever sent to, and fails when one of the others was deleted.
      if (error.code === 'topology-missing' && isOther && !isAgain) {
        return this.#produce(topic, records, options, true)
      }
      return error
    } finally {
      line.uses -= 1
      if (line.isRetired && line.uses === 0) void this.#end(line)
    }
  }

  #line(): ProducerLine {
    if (this.#current !== undefined) return this.#current
    this.#lineCount += 1
    const line = new ProducerLine(this.#settings, `${this.#instance}-producer-${this.#lineCount}`, this.#warn)
    this.#lines.add(line)
    this.#current = line
    return line
  }

  #retire(line: ProducerLine): void {
    line.isRetired = true
    if (this.#current === line) this.#current = undefined
  }

  async #end(line: ProducerLine): Promise<void> {
    this.#lines.delete(line)
    await line.close()
  }
}

function textOf(key: ProducedRecord['key']): string | undefined {
  return key === null ? undefined : String(key)
}
