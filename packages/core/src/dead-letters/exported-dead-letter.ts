import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { headerNames } from '../driver/transport-headers.ts'
import type { StoredDeadLetter } from '../driver.ts'
import { lazily, wholeText } from '../lib/validation.ts'
import type { DeadLetter } from './dead-letter.ts'

/** The version of `ExportedDeadLetter` that is written. */
const exportVersion = 1

/** A dead letter as JSON, whole. Later versions of Waybill read what this one wrote. */
export interface ExportedDeadLetter {
  /** Of this form. */
  readonly version: 1
  /** Of the letter. */
  readonly id: string
  /** Where it was given up, for people: an import puts it where it is told to. */
  readonly topic: string
  readonly group: string
  /** The ordering key, where it is known. */
  readonly key?: string | undefined
  readonly contentType?: string | undefined
  /** All transport headers, the failure record among them. */
  readonly headers: Readonly<Record<string, string>>
  /** Byte for byte: as text where it is UTF-8, else as Base64. */
  readonly body: { readonly text: string } | { readonly base64: string }
}

/** Strict: what another version added would be lost. */
export const exportedSchema = lazily(() =>
  z.strictObject({
    version: z.literal(
      exportVersion,
      `expected ${exportVersion}; what a newer Waybill exported is for that one to import`,
    ),
    id: wholeText().min(1).max(1000),
    topic: wholeText(),
    group: wholeText(),
    key: wholeText().optional(),
    contentType: wholeText().optional(),
    headers: z.record(wholeText(), wholeText()),
    body: z.union(
      [z.strictObject({ text: wholeText() }), z.strictObject({ base64: z.base64() })],
      'expected { text } or { base64 }',
    ),
  }),
)

export function toExported({
  id,
  topic,
  group,
  key,
  contentType,
  headers,
  body,
}: DeadLetter): ExportedDeadLetter {
  return {
    version: exportVersion,
    id,
    topic,
    group,
    ...(key !== undefined && { key }),
    ...(contentType !== undefined && { contentType }),
    headers,
    body: isUtf8(body)
      ? { text: Buffer.from(body).toString('utf8') }
      : { base64: Buffer.from(body).toString('base64') },
  }
}

/** The letter to be stored: the same bytes, under the same id. */
export function fromExported({
  id,
  key,
  contentType,
  headers,
  body,
}: z.output<ReturnType<typeof exportedSchema>>): StoredDeadLetter {
  return {
    id,
    key,
    contentType,
    headers: { ...headers, [headerNames.deadLetterId]: id },
    body: 'text' in body ? Buffer.from(body.text, 'utf8') : Buffer.from(body.base64, 'base64'),
  }
}
