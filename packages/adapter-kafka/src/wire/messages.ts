import {
  attemptOf,
  type DeadLetterStore,
  deadLetterIdOf,
  type OutboundMessage,
  prefixing,
  RepeatedTexts,
  replayHeaders,
  type StoredDeadLetter,
} from '@waybill/core/driver'
import type { IHeaders, KafkaMessage, Message } from 'kafkajs'
import type { KafkaMirror } from '../options.ts'

/** The header of a mirrored attribute (CloudEvents Kafka protocol binding 1.0.2, 3.2.4.2). */
const attributeHeader = prefixing('ce_')
/** Where the content type lies (the same, 3.1 and 3.3.1). */
const contentTypeHeader = 'content-type'
/** Milliseconds since the epoch: not to be delivered before. */
const dueHeader = 'waybill-due-at'
/** Milliseconds since the epoch: when a message of a delay topic moves on. */
const moveHeader = 'waybill-move-at'

/** A record to be produced. */
export interface OutboundRecord extends Message {
  readonly value: Buffer
  readonly headers: Record<string, string>
}

/** A consumed record as core takes it, and what its headers tell the driver. */
export interface InboundRecord {
  readonly body: Buffer
  readonly contentType: string | undefined
  readonly headers: Record<string, string>
  readonly attempt: number
  readonly key: string | undefined
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Those every event has (CloudEvents 1.0.2, "REQUIRED Attributes"). */
const requiredAttributes = ['specversion', 'id', 'source', 'type']

/** A message of core's, with some of its attributes as headers. */
export function toRecord(message: OutboundMessage, now: number, mirror: KafkaMirror): OutboundRecord {
  const headers: Record<string, string> = { ...message.headers, [contentTypeHeader]: message.contentType }
  const mirrored = mirror === 'required' ? requiredAttributes : Object.keys(message.attributes)
  if (mirror !== 'none') {
    for (const name of mirrored) {
      const value = message.attributes[name]
      if (value !== undefined) headers[attributeHeader(name)] = value
    }
  }
  if (message.delayMs > 0) headers[dueHeader] = String(now + message.delayMs)
  return { key: message.key ?? null, value: toBuffer(message.body), headers }
}

/** What a copy takes over. */
export interface CopySource {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly key: string | undefined
}

export interface CopyOptions {
  /** Due at this time. */
  readonly dueAt?: number
  /** To move on from its delay partition at this time. */
  readonly moveAt?: number
  readonly partition?: number
}

/** A copy of a consumed record under other headers: a retry, a dead letter, a replay. */
export function toCopy(
  { body, contentType, key }: CopySource,
  headers: Readonly<Record<string, string>>,
  { dueAt, moveAt, partition }: CopyOptions = {},
): OutboundRecord {
  const own: Record<string, string> = { ...headers }
  if (contentType !== undefined) own[contentTypeHeader] = contentType
  if (dueAt !== undefined) own[dueHeader] = String(dueAt)
  if (moveAt !== undefined) own[moveHeader] = String(moveAt)
  return {
    key: key ?? null,
    value: toBuffer(body),
    headers: own,
    ...(partition !== undefined && { partition }),
  }
}

const headerTexts = new RepeatedTexts()

function headerText(value: IHeaders[string]): string {
  // Of several with one name, the last: it was added last.
  const last = Array.isArray(value) ? value[value.length - 1] : value
  if (last === undefined || last === null) return ''
  return typeof last === 'string' ? last : headerTexts.text(last)
}

function isOurs(name: string): boolean {
  return name === contentTypeHeader || name === dueHeader || name === moveHeader
}

export function fromRecord({ key, value, headers: raw }: KafkaMessage): InboundRecord {
  const headers: Record<string, string> = {}
  let contentType: string | undefined
  for (const name in raw) {
    const text = headerText(raw[name])
    if (name === contentTypeHeader) contentType = text
    else if (!isOurs(name)) headers[name] = text
  }
  return {
    body: value ?? Buffer.alloc(0),
    contentType,
    headers,
    attempt: attemptOf(headers),
    key: key?.toString('utf8'),
  }
}

function timeIn(message: KafkaMessage, name: string): number {
  const value = message.headers?.[name]
  const time = value === undefined ? 0 : Number(headerText(value))
  return Number.isFinite(time) ? time : 0
}

/** When the message is due, since the epoch; 0 when it is not delayed. */
export function dueAtOf(message: KafkaMessage): number {
  return timeIn(message, dueHeader)
}

/** When the message leaves its delay partition. */
export function moveAtOf(message: KafkaMessage): number {
  return timeIn(message, moveHeader)
}

/** The header of a record without value that says what became of a dead letter. */
const resolutionHeader = 'waybill-resolution'

export type Resolution = Extract<keyof DeadLetterStore, 'replay' | 'discard'>

/**
 * A dead letter as a record. Its id is the key, so that compaction drops a letter once it is resolved, and a letter written
 * twice counts once.
 */
export function toLetter(source: CopySource, headers: Readonly<Record<string, string>>): OutboundRecord {
  const record = toCopy(source, headers)
  if (source.key !== undefined) record.headers[letterKeyHeader] = source.key
  return { ...record, key: deadLetterIdOf(headers) ?? null }
}

/** The ordering key of a dead letter; its record's key is the letter's id. */
const letterKeyHeader = 'waybill-key'

/** Takes a letter off: a tombstone for compaction, with a note for people. */
export function toResolution(id: string, resolution: Resolution): Message {
  return { key: id, value: null, headers: { [resolutionHeader]: resolution } }
}

export function letterIdOf({ key, offset }: KafkaMessage): string {
  return key?.toString('utf8') ?? `offset-${offset}`
}

export function fromLetter(message: KafkaMessage): StoredDeadLetter {
  const { body, contentType, headers } = fromRecord(message)
  delete headers[letterKeyHeader]
  return { id: letterIdOf(message), body, contentType, headers }
}

/** What goes back to the group: as before it failed. */
export function toReplay(message: KafkaMessage): OutboundRecord {
  const { body, contentType, headers } = fromRecord(message)
  const key = headers[letterKeyHeader]
  return toCopy({ body, contentType, key }, replayHeaders(headers))
}
