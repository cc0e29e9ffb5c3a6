import { createHash, randomInt } from 'node:crypto'
import { InvalidMessageError, type Issue } from '@waybill/core'
import type { StoredMessage } from '@waybill/core/outbox'
import { slotCount } from '../migrations/0002-outbox.ts'
import { type TopicSettings, topicSettings } from './topic-settings.ts'

/** A message as its row is written. Moments are milliseconds since 1970. */
export interface NewRow {
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
  readonly dueAt: number | null
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

const plainTopic: TopicSettings = { ordered: false, partitions: 8, groups: [], native: {}, ownFormat: false }
const plainTopicText = JSON.stringify(plainTopic)

/** @throws {InvalidMessageError} when a text cannot be kept in a database. */
export function rowOf(stored: StoredMessage): NewRow {
  const { definition, message, json, bytes, delayMs } = stored
  const { topic } = definition
  const key = message.key ?? null
  const topicOptions = JSON.stringify(topicSettings(definition))
  const row: NewRow = {
    slot: key === null ? randomInt(slotCount) : slotOf(topic.name, key),
    topic: topic.name,
    type: message.type,
    version: message.version,
    id: message.id,
    key,
    source: message.metadata.source,
    data: json ?? null,
    bytes: bytes ?? null,
    options: optionsText(stored),
    topicOptions: topicOptions === plainTopicText ? null : topicOptions,
    sentAt: message.timestamp.getTime(),
    dueAt: delayMs === 0 ? null : message.timestamp.getTime() + delayMs,
    expiresAt: message.expiresAt?.getTime() ?? null,
  }
  refuseNul(row)
  return row
}

/** PostgreSQL has no text with NUL in it. Within JSON it is written as an escape, and passes. */
function refuseNul({ id, key, type }: NewRow): void {
  const issues: Issue[] = Object.entries({ id, key })
    .filter(([, text]) => text?.includes('\0'))
    .map(([path]) => ({ path, message: 'has the character NUL, which cannot be stored' }))
  if (issues.length > 0) throw new InvalidMessageError(`message ${type}`, issues)
}

function optionsText({ message: { metadata }, options }: StoredMessage): string | null {
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

/** Messages of one key are in one slot, so that one relay has them all. */
export function slotOf(topic: string, key: string): number {
  return digestOf(topic, key).readUInt32BE(0) % slotCount
}

/** The number of the lock that inserts of a key take, a `bigint` as text. Apart for each installation in a database. */
export function lockOf(namespace: string, topic: string, key: string): string {
  return digestOf(namespace, topic, key).readBigInt64BE(0).toString()
}

function digestOf(...parts: readonly string[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest()
}
