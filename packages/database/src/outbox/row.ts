import { InvalidMessageError, type Issue } from '@waybill/core'
import type { StoredMessage } from '@waybill/core/outbox'
import { slotCount } from '../migrations/0002-outbox.ts'
import { textHash } from './text-hash.ts'
import { topicSettingsText } from './topic-settings.ts'

/** A message as its row is written. Moments are milliseconds since 1970. */
export interface NewRow {
  /** Of its key, which its insert takes; undefined: none. */
  readonly lock: string | undefined
  readonly slot: number
  readonly topic: string
  readonly type: string
  readonly version: number
  readonly id: string
  readonly key: string | null
  readonly source: string
  readonly data: string | null
  readonly bytes: Uint8Array | null
  readonly options: string | null
  readonly topicOptions: string | null
  readonly sentAt: number
  /** From the moment of the insert, by the database's clock, which decides when it is due. */
  readonly delayMs: number | null
  readonly expiresAt: number | null
}

/** What of a send has no column of its own. */
export interface RowOptions {
  readonly priority?: number
  readonly attempts?: number
  readonly correlationId?: string
  readonly causationId?: string
  readonly traceparent?: string
  readonly tracestate?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** @throws {InvalidMessageError} when a text cannot be kept in a database. */
export function rowOf(stored: StoredMessage, namespace: string): NewRow {
  const { definition, message, json, bytes, delayMs } = stored
  const { topic } = definition
  const key = message.key ?? null
  const place = key === null ? undefined : placeOf(namespace, topic.name, key)
  const row: NewRow = {
    slot: place?.slot ?? Math.floor(Math.random() * slotCount),
    lock: topic.ordered ? place?.lock : undefined,
    topic: topic.name,
    type: message.type,
    version: message.version,
    id: message.id,
    key,
    source: message.metadata.source,
    data: json ?? null,
    bytes: bytes ?? null,
    options: optionsText(stored),
    topicOptions: topicSettingsText(definition),
    sentAt: message.timestamp.getTime(),
    delayMs: delayMs === 0 ? null : delayMs,
    expiresAt: message.expiresAt?.getTime() ?? null,
  }
  refuseNul(row)
  return row
}

/** PostgreSQL has no text with NUL in it. Within JSON it is written as an escape, and passes. */
function refuseNul({ id, key, type }: NewRow): void {
  if (!id.includes('\0') && key?.includes('\0') !== true) return
  const issues: Issue[] = Object.entries({ id, key })
    .filter(([, text]) => text?.includes('\0'))
    .map(([path]) => ({ path, message: 'has the character NUL, which cannot be stored' }))
  if (issues.length > 0) throw new InvalidMessageError(`message ${type}`, issues)
}

function optionsText({ message: { metadata }, options }: StoredMessage): string | null {
  // The usual case: a source, which has a column, and nothing else.
  if (Object.keys(metadata).length === 1 && Object.keys(options).length === 0) return null
  const { source, correlationId, causationId, traceparent, tracestate, ...rest } = metadata
  const own: RowOptions = {
    ...options,
    ...(correlationId !== undefined && { correlationId }),
    ...(causationId !== undefined && { causationId }),
    ...(traceparent !== undefined && { traceparent }),
    ...(tracestate !== undefined && { tracestate }),
    ...(Object.keys(rest).length > 0 && { metadata: textsOf(rest) }),
  }
  return Object.keys(own).length === 0 ? null : JSON.stringify(own)
}

function textsOf(metadata: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])),
  )
}

/** Where the messages of a key are, and the lock that their inserts take. */
interface KeyPlace {
  /** One for all messages of the key, so that one relay has them all. */
  readonly slot: number
  /** A `bigint` as text. */
  readonly lock: string
}

/** Apart for each installation in a database. */
export function placeOf(namespace: string, topic: string, key: string): KeyPlace {
  const [high, low] = textHash(JSON.stringify([namespace, topic, key]))
  const lock = BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low))
  return { slot: low % slotCount, lock: lock.toString() }
}
