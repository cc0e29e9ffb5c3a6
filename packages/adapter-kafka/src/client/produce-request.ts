import type { RecordHeaders } from '../wire/records.ts'
import { codecOf } from './codecs.ts'
import { crc32c } from './crc32c.ts'
import { type Bytes, lengthOf, sizeOfBytes, sizeOfVarint, Writer } from './record-writer.ts'

/** A message as kafkajs hands it to be encoded. */
export interface MessageToEncode {
  readonly key?: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers?: RecordHeaders
  readonly timestamp?: string
}

export interface PartitionToEncode {
  readonly partition: number
  readonly firstSequence?: number
  readonly messages: readonly MessageToEncode[]
}

/** What kafkajs's brokers hand to its encoder of produce requests. */
export interface ProduceOptions {
  readonly acks: number
  readonly timeout: number
  readonly transactionalId?: string | null
  /** A long integer in digits. */
  readonly producerId?: string
  readonly producerEpoch?: number
  readonly compression?: number
  readonly topicData: readonly {
    readonly topic: string
    readonly partitions: readonly PartitionToEncode[]
  }[]
}

/** Whether kafkajs hands over what this encodes. */
export function isProduceOptions(options: unknown): options is ProduceOptions {
  return typeof options === 'object' && options !== null && 'topicData' in options && 'acks' in options
}

/** What kafkajs takes for something encoded. */
export interface Encoded {
  readonly buf: Buffer
  readonly buffer: Buffer
}

export interface ProduceRequest {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  expectResponse(): boolean
  encode(): Promise<Encoded>
}

/** Kafka protocol guide, "Produce API". Later versions that kafkajs knows differ in the number alone. */
const produce = { apiKey: 0, apiVersion: 3, apiName: 'Produce' }

/**
 * A produce request (Kafka protocol guide, "Produce API", version 3) in place of kafkajs's own encoder, which makes a buffer
 * of 512 bytes for each record and header, and copies each record through five that grow. The bytes are the same.
 */
export function produceRequest(options: ProduceOptions): ProduceRequest {
  return { ...produce, expectResponse: () => options.acks !== 0, encode: () => encode(options) }
}

async function encode(options: ProduceOptions): Promise<Encoded> {
  const { acks, timeout, transactionalId = null, topicData } = options
  const topics: { readonly topic: string; readonly batches: readonly RecordBatch[] }[] = []
  let size = 2 + Math.max(0, lengthOf(transactionalId)) + 2 + 4 + 4
  for (const { topic, partitions } of topicData) {
    const batches = partitions.map((partition) => new RecordBatch(partition, options))
    for (const batch of batches) await batch.compress()
    for (const batch of batches) size += 4 + 4 + batch.size
    size += 2 + lengthOf(topic) + 4
    topics.push({ topic, batches })
  }
  const writer = new Writer(size)
  writer.string(transactionalId)
  writer.int16(acks)
  writer.int32(timeout)
  writer.int32(topics.length)
  for (const { topic, batches } of topics) {
    writer.string(topic)
    writer.int32(batches.length)
    for (const batch of batches) {
      writer.int32(batch.partition)
      writer.int32(batch.size)
      batch.write(writer)
    }
  }
  return { buf: writer.buffer, buffer: writer.buffer }
}

/** The version of the format of record batches (Kafka documentation, "Record Batch"). */
const magic = 2
/** Among the attributes of a batch (the same). */
const uncompressed = 0
/** Among the attributes of a batch, above the compression (the same). */
const transactionalFlag = 0x10

/** From the first offset to the number of records. */
const headSize = 61
/** The base offset and the length, which the length does not count. */
const uncountedSize = 12
/** Where what the checksum covers begins. */
const checkedFrom = 21

/** The records of a partition (Kafka documentation, "Record Batch"): measured first, then written where they belong. */
class RecordBatch {
  readonly partition: number
  readonly #options: ProduceOptions
  readonly #firstSequence: number
  readonly #messages: readonly MessageToEncode[]
  readonly #now = Date.now()
  readonly #firstTimestamp: number
  readonly #maxTimestamp: number
  /** What records begin with and are made of: sizes, lengths and counts, in the order in which they are written. */
  readonly #lengths: number[] = []
  #recordsSize = 0
  #compressed: Buffer | undefined

  constructor({ partition, firstSequence = 0, messages }: PartitionToEncode, options: ProduceOptions) {
    this.partition = partition
    this.#options = options
    this.#firstSequence = firstSequence
    this.#messages = messages
    const timestamps = messages.flatMap(({ timestamp }) => timestamp ?? []).sort()
    this.#firstTimestamp = Number(timestamps[0] ?? this.#now)
    this.#maxTimestamp = Number(timestamps.at(-1) ?? this.#now)
    for (const [index, message] of messages.entries()) this.#measure(message, index)
  }

  get size(): number {
    return headSize + (this.#compressed?.length ?? this.#recordsSize)
  }

  /** Does nothing unless compression was asked for. */
  async compress(): Promise<void> {
    const { compression = uncompressed } = this.#options
    if (compression === uncompressed) return
    const { buffer } = this.#writeRecords(new Writer(this.#recordsSize))
    this.#compressed = await codecOf(compression).compress({ buffer })
  }

  write(writer: Writer): void {
    const {
      compression = uncompressed,
      transactionalId,
      producerId = '-1',
      producerEpoch = 0,
    } = this.#options
    const start = writer.at
    writer.int64(0)
    writer.int32(this.size - uncountedSize)
    // The leader's epoch, which the broker sets.
    writer.int32(0)
    writer.byte(magic)
    const checksumAt = writer.at
    writer.int32(0)
    writer.int16(compression | (transactionalId ? transactionalFlag : 0))
    writer.int32(this.#messages.length - 1)
    writer.int64(this.#firstTimestamp)
    writer.int64(this.#maxTimestamp)
    writer.int64(producerId)
    writer.int16(producerEpoch)
    writer.int32(this.#firstSequence)
    writer.int32(this.#messages.length)
    if (this.#compressed === undefined) this.#writeRecords(writer)
    else writer.raw(this.#compressed)
    const checked = writer.buffer.subarray(start + checkedFrom, writer.at)
    writer.buffer.writeUInt32BE(crc32c(checked), checksumAt)
  }

  #timestampDelta({ timestamp }: MessageToEncode): number {
    return Number(timestamp || this.#now) - this.#firstTimestamp
  }

  #measure(message: MessageToEncode, offsetDelta: number): void {
    const { key, value, headers } = message
    const lengths = this.#lengths
    const sizeAt = lengths.push(0) - 1
    let size = 1 + sizeOfVarint(this.#timestampDelta(message)) + sizeOfVarint(offsetDelta)
    size += this.#measureBytes(key) + this.#measureBytes(value)
    const countAt = lengths.push(0) - 1
    let count = 0
    for (const name in headers) {
      const header = headers[name]
      // Several values are a header each.
      for (const each of Array.isArray(header) ? header : [header]) {
        count += 1
        size += this.#measureBytes(name) + this.#measureBytes(each)
      }
    }
    size += sizeOfVarint(count)
    lengths[sizeAt] = size
    lengths[countAt] = count
    this.#recordsSize += sizeOfVarint(size) + size
  }

  #measureBytes(bytes: Bytes): number {
    const length = lengthOf(bytes)
    this.#lengths.push(length)
    return sizeOfBytes(length)
  }

  #writeRecords(writer: Writer): Writer {
    let at = 0
    const next = (): number => {
      at += 1
      return this.#lengths[at - 1] ?? 0
    }
    for (const [index, message] of this.#messages.entries()) {
      const { key, value, headers } = message
      writer.varint(next())
      // Attributes: none are in use.
      writer.byte(0)
      writer.varint(this.#timestampDelta(message))
      writer.varint(index)
      writer.bytes(key, next())
      writer.bytes(value, next())
      writer.varint(next())
      for (const name in headers) {
        const header = headers[name]
        for (const each of Array.isArray(header) ? header : [header]) {
          writer.bytes(name, next())
          writer.bytes(each, next())
        }
      }
    }
    return writer
  }
}
