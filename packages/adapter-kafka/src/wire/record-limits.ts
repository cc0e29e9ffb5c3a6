import type { ConsumedRecord, HeaderValue, ProducedRecord, RecordHeaders } from './records.ts'

/** What a dead letter's failure record and the client's framing add at most to a message (core bounds the record). */
const headroom = 64 * 1024

/**
 * The `max.message.bytes` of topics we create, which Kafka holds against whole batches (Kafka documentation, "Topic
 * Configs"): a message of the greatest size must still fit when it comes back as a dead letter.
 */
export function batchBytes(maxMessageBytes: number): number {
  return maxMessageBytes + headroom
}

// A character of UTF-16 takes at most three bytes in UTF-8: near enough for texts, and cheaper than to count them.
function mostBytesOf(bytes: HeaderValue): number {
  if (bytes === null || bytes === undefined) return 0
  return typeof bytes === 'string' ? 3 * bytes.length : bytes.byteLength
}

function isSeveral(value: RecordHeaders[string]): value is readonly HeaderValue[] {
  return Array.isArray(value)
}

/** A record's size in a batch, a little too large rather than too small. */
export function recordBytes({ key, value, headers }: ProducedRecord | ConsumedRecord): number {
  // Length, attributes, timestamp, offset and the lengths of key, value and headers, as variable-length integers of at
  // most 1 + 10 + 5 × 5 bytes (Kafka documentation, "Record").
  let bytes = 36 + mostBytesOf(key) + mostBytesOf(value)
  for (const name in headers) {
    const header = headers[name]
    for (const each of isSeveral(header) ? header : [header]) bytes += 10 + name.length + mostBytesOf(each)
  }
  return bytes
}

/** The same record with bytes of its own, so that it does not keep all of a fetch in memory. */
export function detached(record: ConsumedRecord): ConsumedRecord {
  const { key, value, headers: raw } = record
  const headers: Record<string, RecordHeaders[string]> = {}
  for (const name in raw) {
    const header = raw[name]
    headers[name] = isSeveral(header) ? header.map(own) : own(header)
  }
  return {
    offset: record.offset,
    timestamp: record.timestamp,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers,
  }
}

function own(value: HeaderValue): HeaderValue {
  return Buffer.isBuffer(value) ? Buffer.from(value) : value
}
