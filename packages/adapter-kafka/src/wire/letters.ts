import {
  type DeadLetterStore,
  deadLetterIdOf,
  replayHeaders,
  type StoredDeadLetter,
} from '@waybill/core/driver'
import { contentTypeHeader, noteNames, noteOf, numberOf, restored } from './headers.ts'
import { type CopySource, copyHeaders, fromRecord } from './messages.ts'
import type { ConsumedRecord, ProducedRecord } from './records.ts'

/** The header of a record without value that says what became of a dead letter. */
const resolutionHeader = 'waybill-resolution'

export type Resolution = Extract<keyof DeadLetterStore, 'replay' | 'discard'>

/** Where a record is at the broker. */
export interface RecordAddress {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/**
 * A dead letter as a record. Its id is the key, so that compaction drops a letter once it is resolved, and a letter written
 * twice counts once. `bodyAt`: the body stays there, because it is too large for a copy.
 */
export function toLetter(
  source: CopySource,
  wanted: Readonly<Record<string, string>>,
  bodyAt?: RecordAddress,
): ProducedRecord {
  const { record } = source
  const headers = copyHeaders(source, wanted)
  if (record.key !== null) headers[noteNames.key] = record.key
  // Without value it would take the letter off.
  if (record.value === null) headers[noteNames.tombstone] = '1'
  if (bodyAt !== undefined) {
    headers[noteNames.bodyAt] = `${bodyAt.topic}/${bodyAt.partition}/${bodyAt.offset}`
  }
  const value = bodyAt === undefined ? record.value : null
  return { key: deadLetterIdOf(wanted) ?? null, value: value ?? Buffer.alloc(0), headers }
}

/** A letter of an export, or an edited one, of which there is no record. */
export function toNewLetter(
  { body, contentType, headers, key }: StoredDeadLetter,
  now: number,
): ProducedRecord {
  const record = {
    ...{ offset: '0', timestamp: String(now), value: Buffer.from(body) },
    key: key === undefined ? null : Buffer.from(key),
    headers: contentType === undefined ? {} : { [contentTypeHeader]: contentType },
  }
  return toLetter({ record }, headers)
}

/** Takes a letter off: a tombstone for compaction, with a note for people. */
export function toResolution(id: string, resolution: Resolution): ProducedRecord {
  return { key: id, value: null, headers: { [resolutionHeader]: resolution } }
}

export function letterIdOf({ key, offset }: Pick<ConsumedRecord, 'key' | 'offset'>): string {
  return key?.toString('utf8') ?? `offset-${offset}`
}

/** Where the body of a letter is, if not in the letter. */
export function bodyAddressOf({ headers }: ConsumedRecord): RecordAddress | undefined {
  const [, topic, partition, offset] = /^(.+)\/(\d+)\/(\d+)$/.exec(noteOf(headers, 'bodyAt') ?? '') ?? []
  return topic === undefined ? undefined : { topic, partition: Number(partition), offset: Number(offset) }
}

/** The record that a letter was made of, with the letter's headers. */
function originalOf(letter: ConsumedRecord): ConsumedRecord {
  const key = letter.headers?.[noteNames.key]
  return {
    ...letter,
    key:
      key === undefined
        ? null
        : typeof key === 'string' || !Buffer.isBuffer(key)
          ? Buffer.from(String(key))
          : key,
    value: noteOf(letter.headers, 'tombstone') === undefined ? letter.value : null,
  }
}

const nowhere = { topic: '', partition: 0 }

export function fromLetter(letter: ConsumedRecord): StoredDeadLetter {
  const { body, contentType, headers, key } = fromRecord(originalOf(letter), nowhere)
  return { id: letterIdOf(letter), body, contentType, headers, key }
}

/** What goes back to the group: as before it failed, and where it was. */
export function toReplay(letter: ConsumedRecord): ProducedRecord {
  const { key, value } = originalOf(letter)
  const { headers: texts } = fromRecord({ ...letter, value: letter.value ?? Buffer.alloc(0) }, nowhere)
  const headers = restored(letter.headers, replayHeaders(texts))
  for (const name of [contentTypeHeader, noteNames.sentAt, noteNames.partition]) {
    const kept = letter.headers?.[name]
    if (kept !== undefined) headers[name] = kept
  }
  const partition = numberOf(letter.headers, 'partition')
  return { key, value, headers, ...(partition !== undefined && { partition }) }
}
