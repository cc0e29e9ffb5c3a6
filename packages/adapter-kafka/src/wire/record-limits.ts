import type { Message } from 'kafkajs'

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
function mostBytesOf(bytes: Buffer | string | null | undefined): number {
  if (bytes === null || bytes === undefined) return 0
  return typeof bytes === 'string' ? 3 * bytes.length : bytes.byteLength
}

/** A record's size in a batch, a little too large rather than too small. */
export function recordBytes({ key, value, headers }: Message): number {
  // Length, attributes, timestamp, offset and the lengths of key, value and headers, as variable-length integers of at
  // most 1 + 10 + 5 × 5 bytes (Kafka documentation, "Record").
  let bytes = 36 + mostBytesOf(key) + mostBytesOf(value)
  for (const name in headers) {
    const header = headers[name]
    if (!Array.isArray(header)) bytes += 10 + name.length + mostBytesOf(header)
  }
  return bytes
}
