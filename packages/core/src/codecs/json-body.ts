import type { WireMessage } from '../messages/codec.ts'
import { parseExactly } from '../messages/exact-json.ts'
import { readTime } from './times.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export const jsonType = 'application/json'

const utf8 = new TextDecoder('utf-8', { fatal: true })

const isJson = (contentType: string) => /^[^;]*[/+](?:json|[\w.-]+\+json)\s*(?:;|$)/i.test(contentType)

// What senders say that do not think about it.
const saysNothing = (contentType: string) =>
  /^(?:text\/plain|application\/octet-stream)\s*(?:;|$)/i.test(contentType)

export function isObject(value: unknown): value is JsonObject {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  )
}

/**
 * The value in a body of JSON; undefined when it is none, or a CloudEvents event: those core reads itself. Integers that a number cannot hold exactly come as BigInt, as in
 * CloudEvents.
 *
 * @throws when the content type says JSON, and the body is none.
 */
export function jsonIn({
  body,
  contentType,
}: Pick<WireMessage, 'body' | 'contentType'>): { readonly value: unknown } | undefined {
  const isSaid = contentType !== undefined && isJson(contentType)
  if (contentType !== undefined && !isSaid && !saysNothing(contentType)) return undefined
  try {
    const value = parseExactly(decoderOf(contentType).decode(body))
    return isEvent(value) ? undefined : { value }
  } catch (error) {
    if (isSaid) throw error
    return undefined
  }
}

/** Decoders take a byte order mark off. */
function decoderOf(contentType = ''): typeof utf8 {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1]
  return charset === undefined || /^utf-?8$/i.test(charset) ? utf8 : new TextDecoder(charset, { fatal: true })
}

/** A CloudEvents event whose content type does not say so. */
function isEvent(value: unknown): boolean {
  return isObject(value) && ['specversion', 'id', 'source', 'type'].every((name) => name in value)
}

/** The object in a body of JSON; undefined when it is something else. */
export function objectIn(wire: Pick<WireMessage, 'body' | 'contentType'>): JsonObject | undefined {
  const value = jsonIn(wire)?.value
  return isObject(value) ? value : undefined
}

/**
 * The data, if JSON can carry it; what is inside was checked before.
 *
 * @throws for bytes and for no data at all.
 */
export function jsonData(data: unknown): unknown {
  if (data === undefined)
    throw new Error('there is no data, which JSON cannot say; send null or an empty object')
  if (!(data instanceof Uint8Array)) return data
  throw new Error('bytes cannot be written as JSON; use cloudEvents() for them, or a codec of your own')
}

export function toJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** Text, or a number as text; undefined when there is none. */
export function textOf(value: unknown, what: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  throw new Error(`${what}: expected text or a number`)
}

/** A time in any of the forms that `readTime` reads; undefined when there is none. */
export function timeOf(value: unknown, what: string): Date | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const time = readTime(value)
  if (time !== undefined) return time
  throw new Error(`${what}: expected an ISO 8601 time, or seconds or milliseconds since 1970`)
}
