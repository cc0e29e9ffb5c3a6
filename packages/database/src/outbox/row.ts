import { InvalidMessageError, type Issue, type Message } from '@waybill/core'
import type { StoredMessage } from '@waybill/core/outbox'
import { slotCount } from '../migrations/0002-outbox.ts'
import type { KeyPlaces } from './key-places.ts'
import { topicSettingsText } from './topic-settings.ts'

interface Column {
  readonly name: string
  readonly isInteger?: true
  /** What of the dialect makes what is stored of the value. */
  readonly from?: 'fromHex' | 'fromEpochMs' | 'after'
}

export type Value = string | number | null

/** A message as its row is written. */
export interface NewRow {
  /** Of its key, which its insert takes; undefined: none. */
  readonly lock: string | undefined
  /** In the order of `columns`. */
  readonly values: readonly Value[]
}

/** Moments are given in milliseconds since 1970, but the one when it is due in those from the insert, by the database's clock. */
export const columns: readonly Column[] = [
  { name: 'slot', isInteger: true },
  { name: 'topic' },
  { name: 'type' },
  { name: 'version', isInteger: true },
  { name: 'id' },
  { name: 'key' },
  { name: 'source' },
  { name: 'data' },
  { name: 'data_bytes', from: 'fromHex' },
  { name: 'options' },
  { name: 'topic_options' },
  { name: 'sent_at', from: 'fromEpochMs' },
  { name: 'due_at', from: 'after' },
  { name: 'expires_at', from: 'fromEpochMs' },
]

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
export function rowOf(stored: StoredMessage, places: KeyPlaces): NewRow {
  const { definition, message, json, bytes, delayMs } = stored
  const { topic } = definition
  const { id, key } = message
  refuseNul(message)
  const place = key === undefined ? undefined : places.of(topic.name, key)
  return {
    lock: topic.ordered ? place?.lock : undefined,
    values: [
      place?.slot ?? Math.floor(Math.random() * slotCount),
      topic.name,
      message.type,
      message.version,
      id,
      key ?? null,
      message.metadata.source,
      json ?? null,
      bytes === undefined ? null : hexOf(bytes),
      optionsText(stored),
      topicSettingsText(definition),
      message.timestamp.getTime(),
      delayMs === 0 ? null : delayMs,
      message.expiresAt?.getTime() ?? null,
    ],
  }
}

/** PostgreSQL has no text with NUL in it. Within JSON it is written as an escape, and passes. */
function refuseNul({ id, key, type }: Message): void {
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

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
