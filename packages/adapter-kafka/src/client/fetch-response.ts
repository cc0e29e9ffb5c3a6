import { codecOf } from './codecs.ts'
import { type BatchContext, type DecodedRecord, readRecords } from './record-reader.ts'

/** The one format of record batches that is read here (Kafka documentation, "Record Batch"); kafkajs knows older ones. */
const magic = 2
/** The base offset and the length, which the length does not count. */
const uncountedSize = 12
/** From the base offset to the number of records. */
const headSize = 61
/** Among the attributes of a batch (the same). */
const flags = { compression: 0x07, appendTime: 0x08, transactional: 0x10, control: 0x20 }

/** Tells that a batch is of an older format. */
export class OlderFormat extends Error {}

class Reader {
  readonly buffer: Buffer
  at = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  int16(): number {
    this.at += 2
    return this.buffer.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.buffer.readInt32BE(this.at - 4)
  }

  int64(): string {
    this.at += 8
    return String(this.buffer.readBigInt64BE(this.at - 8))
  }

  string(): string {
    const length = Math.max(0, this.int16())
    this.at += length
    return this.buffer.toString('utf8', this.at - length, this.at)
  }

  bytes(length: number): Buffer {
    this.at += length
    return this.buffer.subarray(this.at - length, this.at)
  }

  array<Item>(readItem: () => Item): Item[] {
    const items: Item[] = []
    for (let left = this.int32(); left > 0; left -= 1) items.push(readItem())
    return items
  }
}

/** A response (Kafka protocol guide, "Fetch API", version 11), as kafkajs gives it. */
export async function decodeFetchResponse(answer: Buffer): Promise<object> {
  const reader = new Reader(answer)
  const clientSideThrottleTime = reader.int32()
  const errorCode = reader.int16()
  const sessionId = reader.int32()
  const topics = reader.array(() => ({
    topicName: reader.string(),
    partitions: reader.array(() => ({
      partition: reader.int32(),
      errorCode: reader.int16(),
      highWatermark: reader.int64(),
      lastStableOffset: reader.int64(),
      lastStartOffset: reader.int64(),
      abortedTransactions: reader.array(() => ({ producerId: reader.int64(), firstOffset: reader.int64() })),
      preferredReadReplica: reader.int32(),
      batches: reader.bytes(Math.max(0, reader.int32())),
    })),
  }))
  const responses: object[] = []
  for (const { topicName, partitions } of topics) {
    const read: object[] = []
    for (const { batches, ...partition } of partitions) {
      read.push({ ...partition, messages: await readBatches(batches) })
    }
    responses.push({ topicName, partitions: read })
  }
  // A throttle time of 0: it is the client that waits, not the broker that has waited.
  return { throttleTime: 0, clientSideThrottleTime, errorCode, sessionId, responses }
}

async function readBatches(buffer: Buffer): Promise<DecodedRecord[]> {
  const records: DecodedRecord[] = []
  let at = 0
  while (buffer.length - at >= headSize) {
    const end = at + uncountedSize + buffer.readInt32BE(at + 8)
    // The last one may be cut off, by the limits of the request.
    if (end > buffer.length) break
    if (buffer.readInt8(at + 16) !== magic) throw new OlderFormat()
    for (const record of await readBatch(buffer.subarray(at, end))) records.push(record)
    at = end
  }
  return records
}

async function readBatch(batch: Buffer): Promise<DecodedRecord[]> {
  const reader = new Reader(batch)
  const firstOffset = reader.int64()
  reader.at = uncountedSize
  const partitionLeaderEpoch = reader.int32()
  // The format and the checksum.
  reader.at += 1 + 4
  const attributes = reader.int16()
  const context: BatchContext = {
    firstOffset,
    partitionLeaderEpoch,
    inTransaction: (attributes & flags.transactional) > 0,
    isControlBatch: (attributes & flags.control) > 0,
    lastOffsetDelta: reader.int32(),
    firstTimestamp: reader.int64(),
    maxTimestamp: reader.int64(),
    producerId: reader.int64(),
    producerEpoch: reader.int16(),
    firstSequence: reader.int32(),
    timestampType: (attributes & flags.appendTime) > 0 ? 1 : 0,
    magicByte: magic,
  }
  const count = reader.int32()
  const compression = attributes & flags.compression
  if (compression === 0) return readRecords(batch, headSize, count, context)
  if (count === 0) return []
  const records = await codecOf(compression).decompress(batch.subarray(headSize))
  return readRecords(records, 0, count, context)
}
