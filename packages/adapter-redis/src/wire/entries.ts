import type { OutboundMessage } from '@waybill/core/driver'
import { type Mirror, mirroredNames } from '@waybill/core/driver-kit'

/** The fields of a stream entry. What else a foreign producer puts there is taken for headers. */
const fieldNames = {
  contentType: 'content-type',
  body: 'body',
  /** A JSON object, text to text; absent when there are none. */
  headers: 'headers',
  /** CloudEvents attributes once more, a JSON object, for other readers of the stream; we read them in the body. */
  attributes: 'ce',
  /** Dead letters: the line the copy came from, to which a replay goes back. */
  line: 'line',
} as const

/** The content type of all messages of our own (CloudEvents JSON format 1.0.2, section 3); scripts leave it out of replies. */
export const usualContentType = 'application/cloudevents+json'

/** An entry's fields and values, in turn. */
export type Fields = readonly (string | Buffer)[]

export interface Content {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
}

export interface Entry extends Content {
  readonly line: number | undefined
}

export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The fields of a new message. */
export function messageFields(message: OutboundMessage, mirror: Mirror): Fields {
  const { body, contentType, attributes } = message
  const fields: (string | Buffer)[] = contentType === '' ? [] : [fieldNames.contentType, contentType]
  fields.push(fieldNames.body, toBuffer(body))
  const mirrored = mirroredNames(message, mirror).map((name) => [name, attributes[name]] as const)
  let headers = message.headers
  if (contentType !== usualContentType) {
    // The body does not say them, so they are for us as well.
    headers = {
      ...Object.fromEntries(mirrored.map(([name, value = '']) => [`ce_${name}`, value])),
      ...headers,
    }
  } else if (mirrored.length > 0) {
    fields.push(fieldNames.attributes, JSON.stringify(Object.fromEntries(mirrored)))
  }
  const text = encodeHeaders(headers)
  if (text !== '') fields.push(fieldNames.headers, text)
  return fields
}

/** Headers as one text; empty when there are none. */
export function encodeHeaders(headers: Readonly<Record<string, string>>): string {
  for (const _ in headers) return JSON.stringify(headers)
  return ''
}

/** The fields of a copy; `line` is noted in dead letters. */
export function encodeFields({ body, contentType, headers }: Content, line?: number): Fields {
  const fields: (string | Buffer)[] = []
  if (contentType !== undefined) fields.push(fieldNames.contentType, contentType)
  fields.push(fieldNames.body, toBuffer(body))
  const text = encodeHeaders(headers)
  if (text !== '') fields.push(fieldNames.headers, text)
  if (line !== undefined) fields.push(fieldNames.line, String(line))
  return fields
}

export const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

export function decodeHeaders(text: string): Readonly<Record<string, string>> {
  if (text === '') return noHeaders
  const headers = parseTexts(text)
  // A foreign field of that name is handed on as it is.
  return headers ?? { [fieldNames.headers]: text }
}

function parseTexts(text: string): Record<string, string> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
    return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, String(value)]))
  } catch {
    return undefined
  }
}

/** Any entry, of our own or foreign. */
export function decodeFields(fields: readonly unknown[]): Entry {
  let body: Uint8Array = Buffer.alloc(0)
  let contentType: string | undefined
  let line: number | undefined
  let headers: Record<string, string> = {}
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = String(fields[index])
    const value = fields[index + 1]
    if (name === fieldNames.body) body = value instanceof Uint8Array ? value : Buffer.from(String(value))
    else if (name === fieldNames.contentType) contentType = String(value)
    else if (name === fieldNames.line) line = Number(value) || 0
    else if (name === fieldNames.headers) headers = { ...headers, ...decodeHeaders(String(value)) }
    else if (name !== fieldNames.attributes || contentType !== usualContentType) headers[name] = String(value)
  }
  return { body, contentType, headers, line }
}
