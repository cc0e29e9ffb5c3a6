import { RepeatedTexts } from '@waybill/core/driver'
import type { HeaderValue, RecordHeaders } from './records.ts'

/** What the adapter notes on records for itself; core does not see it. */
export const noteNames = {
  /** Milliseconds since the epoch: not to be delivered before. */
  dueAt: 'waybill-due-at',
  /** Milliseconds since the epoch: when a record of a delay topic moves on. */
  moveAt: 'waybill-move-at',
  /** The partition of the retry topic to which a record of a delay topic moves in the end. */
  turn: 'waybill-turn',
  /** Milliseconds since the epoch: the timestamp of the record that this is a copy of. */
  sentAt: 'waybill-sent-at',
  /** The partition of the topic itself in which that record was. */
  partition: 'waybill-partition',
  /** The key of a dead letter, whose record's own key is the letter's id. */
  key: 'waybill-key',
  /** A dead letter of a record without value; its own value is empty. */
  tombstone: 'waybill-tombstone',
  /** Where the body of a dead letter is that was too large to be copied: `topic/partition/offset`. */
  bodyAt: 'waybill-body-at',
} as const

/** Where the content type lies (CloudEvents Kafka protocol binding 1.0.2, 3.1 and 3.3.1). */
export const contentTypeHeader = 'content-type'

const notes: ReadonlySet<string> = new Set(Object.values(noteNames))
const ownPrefix = 'waybill-'

/** Whether core is not to see the header: it has the content type by itself. */
export function isHidden(name: string): boolean {
  return name === contentTypeHeader || notes.has(name)
}

const texts = new RepeatedTexts()

function isSeveral(value: RecordHeaders[string]): value is readonly HeaderValue[] {
  return Array.isArray(value)
}

/** A header as text; undefined without a value. Of several with one name, the last: it was added last. */
export function headerText(value: RecordHeaders[string]): string | undefined {
  const last = isSeveral(value) ? value.at(-1) : value
  if (last === undefined || last === null) return undefined
  return typeof last === 'string' ? last : texts.text(last)
}

/** One of the adapter's notes. */
export function noteOf(headers: RecordHeaders | undefined, name: keyof typeof noteNames): string | undefined {
  return headers === undefined ? undefined : headerText(headers[noteNames[name]])
}

/** A note that is a number. */
export function numberOf(
  headers: RecordHeaders | undefined,
  name: keyof typeof noteNames,
): number | undefined {
  const text = noteOf(headers, name)
  const value = text === undefined || text === '' ? Number.NaN : Number(text)
  return Number.isFinite(value) ? value : undefined
}

/**
 * The headers of a copy: those that core wants, with the bytes they came with where it left them as they were. What text
 * cannot tell (headers without value, of several values, in no UTF-8) stays whole and in its place.
 */
export function restored(
  raw: RecordHeaders | undefined,
  wanted: Readonly<Record<string, string>>,
): Record<string, RecordHeaders[string]> {
  const headers: Record<string, RecordHeaders[string]> = {}
  for (const name in raw) {
    if (isHidden(name)) continue
    const text = headerText(raw[name])
    if (Object.hasOwn(wanted, name)) headers[name] = wanted[name] === text ? raw[name] : wanted[name]
    else if (text === undefined && !name.startsWith(ownPrefix)) headers[name] = raw[name]
  }
  for (const name in wanted) if (!Object.hasOwn(headers, name)) headers[name] = wanted[name]
  return headers
}
