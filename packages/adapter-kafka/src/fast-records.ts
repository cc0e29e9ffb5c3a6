import { createRequire } from 'node:module'
import type { IHeaders, KafkaMessage } from 'kafkajs'
import { crc32c } from './crc32c.ts'

/**
 * Encoding and decoding of records (Kafka documentation, "Record"), in place of kafkajs's own: that makes a buffer of 512
 * bytes for each record and header it writes, and copies all headers anew for each it reads, which is most of the time of a
 * message. What they write and return is the same.
 */

/** What kafkajs's encoder takes for something encoded. */
export interface Encoded {
  readonly buf: Buffer
  readonly buffer: Buffer
}

/** A record as kafkajs hands it to be encoded. */
export interface RecordToEncode {
  readonly offsetDelta?: number
  readonly timestampDelta?: number
  readonly key?: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers?: IHeaders
}

type Bytes = Buffer | string | null | undefined

function lengthOf(bytes: Bytes): number {
  if (bytes === null || bytes === undefined) return -1
  return typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
}

/** Signed numbers as unsigned ones: 0, -1, 1, -2, … */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : value * -2 - 1
}

function sizeOfVarint(value: number): number {
  let size = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1
  return size
}

function sizeOfBytes(length: number): number {
  return sizeOfVarint(length) + Math.max(0, length)
}

/** Writes into a buffer that is large enough. */
class Writer {
  readonly buffer: Buffer
  #at = 0

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size)
  }

  byte(value: number): void {
    this.buffer[this.#at] = value
    this.#at += 1
  }

  varint(value: number): void {
    let rest = zigzag(value)
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80)
    this.byte(rest)
  }

  bytes(bytes: Bytes, length: number): void {
    this.varint(length)
    if (typeof bytes === 'string') this.buffer.write(bytes, this.#at, 'utf8')
    else bytes?.copy(this.buffer, this.#at)
    this.#at += Math.max(0, length)
  }
}

export function encodeRecord({
  offsetDelta = 0,
  timestampDelta = 0,
  key,
  value,
  headers = {},
}: RecordToEncode): Encoded {
  const list: [string, Bytes][] = []
  for (const name of Object.keys(headers)) {
    const header = headers[name]
    if (Array.isArray(header)) for (const each of header) list.push([name, each])
    else list.push([name, header])
  }
  const keyLength = lengthOf(key)
  const valueLength = lengthOf(value)
  let size = 1 + sizeOfVarint(timestampDelta) + sizeOfVarint(offsetDelta)
  size += sizeOfBytes(keyLength) + sizeOfBytes(valueLength) + sizeOfVarint(list.length)
  for (const [name, header] of list)
    size += sizeOfBytes(Buffer.byteLength(name)) + sizeOfBytes(lengthOf(header))
  const writer = new Writer(sizeOfVarint(size) + size)
  writer.varint(size)
  // Attributes: none are in use.
  writer.byte(0)
  writer.varint(timestampDelta)
  writer.varint(offsetDelta)
  writer.bytes(key, keyLength)
  writer.bytes(value, valueLength)
  writer.varint(list.length)
  for (const [name, header] of list) {
    writer.bytes(name, Buffer.byteLength(name))
    writer.bytes(header, lengthOf(header))
  }
  return { buf: writer.buffer, buffer: writer.buffer }
}

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

  text(): string {
    const length = this.varint()
    const start = this.#at
    this.#at += Math.max(0, length)
    return this.#buffer.toString('utf8', start, this.#at)
  }
}

function plus(start: string, delta: number): string {
  const sum = Number(start) + delta
  return Number.isSafeInteger(sum) ? String(sum) : String(BigInt(start) + BigInt(delta))
}

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
    const name = reader.text()
    const header = reader.bytes()
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

/**
 * Puts them in kafkajs's place, where its own modules take them from: they load them at the first produce and fetch. A
 * process that used kafkajs before keeps what it has.
 */
export function installFastRecords(): void {
  replace('kafkajs/src/protocol/recordBatch/record/v0/index.js', encodeRecord)
  replace('kafkajs/src/protocol/recordBatch/record/v0/decoder.js', decodeRecord)
  replace('kafkajs/src/protocol/recordBatch/crc32C/index.js', crc32c)
}

const load = createRequire(import.meta.url)

function replace(path: string, ours: unknown): void {
  // It must have been loaded to have a place.
  load(path)
  const module = load.cache[load.resolve(path)]
  if (module !== undefined) module.exports = ours
}
