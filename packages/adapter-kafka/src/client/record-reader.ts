import { RepeatedTexts } from '@waybill/core/driver'

/** Of the batch that a record is in, as kafkajs has it. */
export interface BatchContext {
  readonly firstOffset: string
  readonly firstTimestamp: string
  readonly partitionLeaderEpoch: number
  readonly inTransaction: boolean
  readonly isControlBatch: boolean
  readonly lastOffsetDelta: number
  readonly producerId: string
  readonly producerEpoch: number
  readonly firstSequence: number
  readonly maxTimestamp: string
  readonly timestampType: number
  readonly magicByte: number
}

export interface DecodedRecord {
  readonly magicByte: number
  readonly attributes: number
  readonly timestamp: string
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Record<string, Buffer | null | (Buffer | null)[]>
  readonly isControlRecord: boolean
  readonly batchContext: BatchContext
}

/** The broker set the timestamp when it took the batch (Kafka documentation, "Record Batch", `timestampType`). */
export const logAppendTime = 1

const repeated = new RepeatedTexts()

/** Reads the primitive types of records (Kafka documentation, "Record"). */
class Reader {
  readonly #buffer: Buffer
  at: number

  constructor(buffer: Buffer, at: number) {
    this.#buffer = buffer
    this.at = at
  }

  byte(): number {
    const value = this.#buffer[this.at] ?? 0
    this.at += 1
    return value
  }

  varint(): number {
    let byte = this.byte()
    let value = byte & 0x7f
    for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
      byte = this.byte()
      value += (byte & 0x7f) * scale
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  bytes(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const start = this.at
    this.at += length
    return this.#buffer.subarray(start, this.at)
  }

  headerName(): string {
    const length = this.varint()
    const start = this.at
    this.at += Math.max(0, length)
    return repeated.text(this.#buffer, start, this.at)
  }

  headerValue(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const start = this.at
    this.at += length
    return repeated.bytes(this.#buffer, start, this.at)
  }
}

function plus(start: string, delta: number): string {
  const sum = Number(start) + delta
  return Number.isSafeInteger(sum) ? String(sum) : String(BigInt(start) + BigInt(delta))
}

/**
 * The records of a batch, as kafkajs gives them, which copies all headers of a record anew for each of them; equal header
 * values may be one buffer here.
 */
export function readRecords(
  buffer: Buffer,
  at: number,
  count: number,
  context: BatchContext,
): DecodedRecord[] {
  const { firstOffset, firstTimestamp, magicByte, isControlBatch, timestampType, maxTimestamp } = context
  const reader = new Reader(buffer, at)
  const records: DecodedRecord[] = []
  for (let index = 0; index < count; index += 1) {
    const length = reader.varint()
    const end = reader.at + length
    const attributes = reader.byte()
    const timestampDelta = reader.varint()
    const offset = plus(firstOffset, reader.varint())
    const key = reader.bytes()
    const value = reader.bytes()
    const headers: DecodedRecord['headers'] = {}
    for (let left = reader.varint(); left > 0; left -= 1) {
      const name = reader.headerName()
      const header = reader.headerValue()
      const earlier = headers[name]
      if (earlier === undefined) headers[name] = header
      else headers[name] = Array.isArray(earlier) ? [...earlier, header] : [earlier, header]
    }
    reader.at = end
    records.push({
      magicByte,
      attributes,
      timestamp: timestampType === logAppendTime ? maxTimestamp : plus(firstTimestamp, timestampDelta),
      offset,
      key,
      value,
      headers,
      isControlRecord: isControlBatch,
      batchContext: context,
    })
  }
  return records
}
