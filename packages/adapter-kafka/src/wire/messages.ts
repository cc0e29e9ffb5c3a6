import { attemptOf, type OutboundMessage, prefixing } from '@waybill/core/driver'
import { type Mirror, mirroredNames } from '@waybill/core/driver-kit'
import { contentTypeHeader, headerText, isHidden, noteNames, numberOf, restored } from './headers.ts'
import type { ConsumedRecord, ProducedRecord, RecordHeaders } from './records.ts'

/** The header of a mirrored attribute (CloudEvents Kafka protocol binding 1.0.2, 3.2.4.2). */
const attributeHeader = prefixing('ce_')

/** The type under which handlers get tombstones: records without value, which delete what a topic has under their key. */
export const deletionType = 'record.deleted'

/** A consumed record as core takes it. */
export interface InboundRecord {
  readonly body: Buffer
  readonly contentType: string | undefined
  readonly headers: Record<string, string>
  readonly attempt: number
  readonly key: string | undefined
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  readonly transportId: string
}

/** Where a record was consumed. */
export interface RecordPlace {
  readonly topic: string
  readonly partition: number
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A message of core's, with some of its attributes as headers. */
export function toRecord(message: OutboundMessage, now: number, mirror: Mirror): ProducedRecord {
  const headers: Record<string, string> = { ...message.headers }
  if (message.contentType !== '') headers[contentTypeHeader] = message.contentType
  for (const name of mirroredNames(message, mirror)) {
    const value = message.attributes[name]
    if (value !== undefined) headers[attributeHeader(name)] = value
  }
  if (message.delayMs > 0) headers[noteNames.dueAt] = String(now + message.delayMs)
  return { key: message.key ?? null, value: toBuffer(message.body), headers }
}

export function fromRecord(record: ConsumedRecord, place: RecordPlace): InboundRecord {
  const { key, value, headers: raw } = record
  const headers: Record<string, string> = {}
  let contentType: string | undefined
  for (const name in raw) {
    const text = headerText(raw[name])
    if (text === undefined) continue
    if (name === contentTypeHeader) contentType = text
    else if (!isHidden(name)) headers[name] = text
  }
  const inbound = {
    headers,
    attempt: attemptOf(headers),
    key: key?.toString('utf8'),
    timestamp: sentAtOf(record),
    transportId: placeText(record, place),
  }
  return value === null
    ? { ...inbound, ...deletion(record, place, headers) }
    : { ...inbound, body: value, contentType }
}

/** A tombstone as the event of its own that core needs: `data` is null, and the key says what is deleted. */
function deletion(
  record: ConsumedRecord,
  place: RecordPlace,
  headers: Readonly<Record<string, string>>,
): Pick<InboundRecord, 'body' | 'contentType' | 'headers'> {
  const { key } = record
  const attributes: Record<string, string> = {
    specversion: '1.0',
    type: deletionType,
    source: `kafka:${place.topic}`,
    id: placeText(record, place),
    ...(key !== null && { partitionkey: key.toString('utf8') }),
  }
  const event = Object.entries(attributes).map(([name, value]) => [attributeHeader(name), value])
  // A copy, for a retry, keeps the id it was given at first.
  return {
    body: Buffer.from('null'),
    contentType: 'application/json',
    headers: { ...Object.fromEntries(event), ...headers },
  }
}

/** The same at each delivery of the record; with its time, since a topic may be made again. */
function placeText({ offset, timestamp }: ConsumedRecord, { topic, partition }: RecordPlace): string {
  return `${topic}/${partition}/${offset}/${timestamp}`
}

/** When the record, or the one that it is a copy of, was sent: milliseconds since the epoch. */
function sentAtOf({ headers, timestamp }: ConsumedRecord): number {
  return numberOf(headers, 'sentAt') ?? Number(timestamp)
}

/** When the record is due, since the epoch; 0 when it is not delayed. */
export function dueAtOf({ headers }: Pick<ConsumedRecord, 'headers'>): number {
  return numberOf(headers, 'dueAt') ?? 0
}

/** When the record leaves its delay partition. */
export function moveAtOf({ headers }: Pick<ConsumedRecord, 'headers'>): number {
  return numberOf(headers, 'moveAt') ?? 0
}

/** The retry partition to which the record moves in the end, if that is settled. */
export function turnOf({ headers }: Pick<ConsumedRecord, 'headers'>): number | undefined {
  return numberOf(headers, 'turn')
}

/** A consumed record that is to be copied. */
export interface CopySource {
  readonly record: ConsumedRecord
  /** Where it was consumed, if that is the topic itself. */
  readonly partition?: number
}

export interface CopyOptions {
  /** Due at this time. */
  readonly dueAt?: number
  /** To move on from its delay partition at this time. */
  readonly moveAt?: number
  /** To move to this retry partition in the end. */
  readonly turn?: number
  /** Default: the one in which the record was in the topic itself. */
  readonly partition?: number
}

/** A copy of a consumed record under other headers; its key and body are the same bytes. */
export function toCopy(
  source: CopySource,
  wanted: Readonly<Record<string, string>>,
  { dueAt, moveAt, turn, partition = partitionOf(source) }: CopyOptions = {},
): ProducedRecord {
  const { record } = source
  const headers = copyHeaders(source, wanted)
  if (dueAt !== undefined) headers[noteNames.dueAt] = String(dueAt)
  if (moveAt !== undefined) headers[noteNames.moveAt] = String(moveAt)
  if (turn !== undefined) headers[noteNames.turn] = String(turn)
  return { key: record.key, value: record.value, headers, ...(partition !== undefined && { partition }) }
}

/** The headers of a copy, with what a later replay must know of the record. */
export function copyHeaders(
  source: CopySource,
  wanted: Readonly<Record<string, string>>,
): Record<string, RecordHeaders[string]> {
  const { record } = source
  const headers = restored(record.headers, wanted)
  const contentType = record.headers?.[contentTypeHeader]
  if (contentType !== undefined) headers[contentTypeHeader] = contentType
  headers[noteNames.sentAt] = String(sentAtOf(record))
  const partition = partitionOf(source)
  if (partition !== undefined) headers[noteNames.partition] = String(partition)
  return headers
}

function partitionOf({ record, partition }: CopySource): number | undefined {
  return numberOf(record.headers, 'partition') ?? partition
}
