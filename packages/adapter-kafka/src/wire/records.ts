/** A header's value; Kafka knows headers that have none. */
export type HeaderValue = Buffer | string | null | undefined

/** By name. Several values of one name are an array, in their order. */
export type RecordHeaders = Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>

/** A record as it was consumed. */
export interface ConsumedRecord {
  readonly offset: string
  /** Milliseconds since the epoch, in digits. */
  readonly timestamp: string
  readonly key: Buffer | null
  /** Null: a tombstone, which deletes what a compacted topic has under the key. */
  readonly value: Buffer | null
  readonly headers?: RecordHeaders
}

/** A record to be produced. */
export interface ProducedRecord {
  readonly key: Buffer | string | null
  readonly value: Buffer | null
  readonly headers?: RecordHeaders
  /** Modulo the number of partitions there are. Undefined: by the key. */
  readonly partition?: number
}
