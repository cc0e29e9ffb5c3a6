import { RepeatedTexts } from '@waybill/core/driver'
import type { KafkaMessage } from 'kafkajs'

/** What kafkajs's decoder tells of the batch that a record is in. */
export interface BatchContext {
  readonly firstOffset: string
  readonly firstTimestamp: string
  readonly magicByte: number
  readonly isControlBatch?: boolean
  readonly timestampType?: number
  readonly maxTimestamp?: string
}

export interface DecodedRecord extends Omit<KafkaMessage, 'headers' | 'size'> {
  readonly magicByte: number
  readonly headers: Record<string, Buffer | Buffer[] | null>
  readonly isControlRecord: boolean
  readonly batchContext: BatchContext
}

/** The broker set the timestamp when it took the batch (kafkajs's protocol/timestampTypes.js). */
const logAppendTime = 1

const repeated = new RepeatedTexts()

class Reader {
  readonly #buffer: Buffer
  #at: number

  constructor(buffer: Buffer, at: number) {
    this.#buffer = buffer
    this.#at = at
  }

  byte(): number {
    const value = this.#buffer[this.#at] ?? 0
    this.#at += 1
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
    const start = this.#at
    this.#at += length
    return this.#buffer.subarray(start, this.#at)
  }

  headerName(): string {
    const length = this.varint()
    const start = this.#at
    this.#at += Math.max(0, length)
    return repeated.text(this.#buffer, start, this.#at)
  }

  headerValue(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const start = this.#at
    this.#at += length
    return repeated.bytes(this.#buffer, start, this.#at)
  }
}

function plus(start: string, delta: number): string {
  const sum = Number(start) + delta
  return Number.isSafeInteger(sum) ? String(sum) : String(BigInt(start) + BigInt(delta))
}

/**
 * A record (Kafka documentation, "Record"), in place of kafkajs's own decoder, which copies all headers anew for each it
 * reads. What it returns is the same, but that equal header values may be one buffer.
 */
export function decodeRecord(
  { buffer, offset: at }: { readonly buffer: Buffer; readonly offset: number },
  batchContext: BatchContext,
): DecodedRecord {
  const {
    firstOffset,
    firstTimestamp,
    magicByte,
    isControlBatch = false,
    timestampType,
    maxTimestamp,
  } = batchContext
  const reader = new Reader(buffer, at)
  const attributes = reader.byte()
  const timestampDelta = reader.varint()
  const isAppendTime = timestampType === logAppendTime && maxTimestamp !== undefined
  const timestamp = isAppendTime ? maxTimestamp : plus(firstTimestamp, timestampDelta)
  const offset = plus(firstOffset, reader.varint())
  const key = reader.bytes()
  const value = reader.bytes()
  const headers: DecodedRecord['headers'] = {}
  for (let count = reader.varint(); count > 0; count -= 1) {
    const name = reader.headerName()
    const header = reader.headerValue()
    const earlier = headers[name]
    if (earlier === undefined || earlier === null || header === null) headers[name] = header
    else headers[name] = Array.isArray(earlier) ? [...earlier, header] : [earlier, header]
  }
  return {
    magicByte,
    attributes,
    timestamp,
    offset,
    key,
    value,
    headers,
    isControlRecord: isControlBatch,
    batchContext,
  }
}
