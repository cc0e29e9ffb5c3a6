import type { Delivery, OutboundMessage } from '../driver.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { rememberLast } from '../lib/remember-last.ts'
import { type Envelope, readAttributes } from './envelope.ts'
import { parseExactly } from './exact-json.ts'
import type { Message, Writable } from './message.ts'

/** The media type of an event in structured JSON mode (CloudEvents JSON format 1.0.2, section 3). */
export const structuredType = 'application/cloudevents+json'
const jsonType = 'application/json'
const bytesType = 'application/octet-stream'

/**
 * How attributes are spelled as headers: `ce_` in the Kafka binding, `ce-` in those of HTTP and NATS, `cloudEvents:`
 * or `cloudEvents_` in that of AMQP.
 */
const attributeHeader = /^(?:ce[-_]|cloudevents[:_])(.+)$/i
/** Those, and what else is not the user's own. */
const transportHeader = /^(?:(?:ce[-_]|cloudevents[:_]).|waybill-|content-type$)/i

type Headers = Readonly<Record<string, string>>

/** Header names that users' metadata may not have, because they would be taken for something else. */
export function isReservedName(name: string): boolean {
  return transportHeader.test(name) || attributeOf.has(name)
}

/** Message metadata that is a CloudEvents attribute, under its name there. */
const attributeOf: ReadonlyMap<string, string> = new Map([
  ['source', 'source'],
  ['correlationId', 'correlationid'],
  ['causationId', 'causationid'],
  ['traceparent', 'traceparent'],
  ['tracestate', 'tracestate'],
])

type Encoded = Pick<OutboundMessage, 'body' | 'contentType' | 'attributes' | 'headers'>

const timeText = rememberLast((time: number) => new Date(time).toISOString())

/** A message's CloudEvents attributes, and what else goes into the transport's headers. `contentType` is that of the data. */
export function attributesOf(
  message: Message,
  contentType: string,
): { readonly attributes: Record<string, string>; readonly headers: Record<string, string> } {
  const { metadata } = message
  const attributes: Record<string, string> = {
    specversion: '1.0',
    id: message.id,
    source: metadata.source,
    type: message.type,
    time: timeText(message.timestamp.getTime()),
    datacontenttype: contentType,
    dataversion: String(message.version),
  }
  const headers: Record<string, string> = {}
  if (message.key !== undefined) attributes.partitionkey = message.key
  if (message.expiresAt !== undefined) attributes.expirytime = message.expiresAt.toISOString()
  for (const name in metadata) {
    const value = metadata[name]
    const attribute = attributeOf.get(name)
    if (value === undefined || name === 'source') continue
    if (attribute === undefined) headers[name] = value
    else attributes[attribute] = value
  }
  return { attributes, headers }
}

/**
 * A message as a CloudEvents event in structured mode, its attributes once more for the transport's headers. `data` is
 * what travels.
 * Throws what `JSON.stringify` throws (a cycle, a BigInt).
 */
export function encodeMessage(message: Message, data: unknown = message.data): Encoded {
  const { attributes, headers } = attributesOf(message, data instanceof Uint8Array ? bytesType : jsonType)
  const event: Record<string, unknown> = { ...attributes, dataversion: message.version }
  if (data instanceof Uint8Array) event.data_base64 = Buffer.from(data).toString('base64')
  else if (data !== undefined) event.data = data
  return { body: Buffer.from(JSON.stringify(event)), contentType: structuredType, attributes, headers }
}

/** Whether the body is a whole event. */
export function isStructured(contentType: string | undefined): boolean {
  return contentType === structuredType || contentType?.toLowerCase().startsWith(structuredType) === true
}

function undecodable(why: string, cause?: unknown): MessagingError {
  return new MessagingError('undecodable', `The body is not a CloudEvents event: ${why}`, { cause })
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function read<Result>(body: Uint8Array, as: (text: string) => Result): Result {
  try {
    return as(utf8.decode(body))
  } catch (error) {
    throw undecodable(toError(error).message, error)
  }
}

const parseJson = (body: Uint8Array) => read<unknown>(body, parseExactly)

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

interface Decoded {
  readonly attributes: Readonly<Record<string, unknown>>
  readonly data: unknown
}

function decodeEvent(body: Uint8Array, contentType: string | undefined, headers: Headers): Decoded {
  if (isStructured(contentType)) return decodeStructured(body)
  const attributes = attributesIn(headers)
  if (attributes.specversion !== undefined) {
    return { attributes, data: decodeBinary(body, attributes.datacontenttype ?? contentType) }
  }
  if (contentType === undefined) return decodeStructured(body)
  throw undecodable(`content type ${contentType}, and no CloudEvents headers`)
}

function decodeStructured(body: Uint8Array): Decoded {
  const event = parseJson(body)
  if (!isObject(event)) throw undecodable('the JSON is not an object')
  const { data, data_base64: base64 } = event
  return {
    attributes: event,
    data: typeof base64 === 'string' ? new Uint8Array(Buffer.from(base64, 'base64')) : data,
  }
}

function decodeBinary(body: Uint8Array, contentType: string | undefined): unknown {
  if (body.byteLength === 0) return undefined
  if (contentType === undefined || /^[^;]*[/+]json\s*(;|$)/i.test(contentType)) return parseJson(body)
  // A copy: what a handler does to it must not reach a retry, a dead letter or another group.
  return /^text\//i.test(contentType) ? read(body, (text) => text) : new Uint8Array(body)
}

/** The CloudEvents attributes among the headers. */
export function attributesIn(headers: Headers): Record<string, string> {
  const attributes: Record<string, string> = {}
  for (const name in headers) {
    const attribute = attributeHeader.exec(name)?.[1]
    const value = headers[name]
    // A header without a value is absent.
    if (attribute !== undefined && value !== undefined && value !== '')
      attributes[attribute.toLowerCase()] = value
  }
  return attributes
}

export function contentTypeIn(headers: Headers): string | undefined {
  for (const name in headers) if (/^content-type$/i.test(name)) return headers[name]
  return undefined
}

/** The headers that are the user's own. */
export function othersIn(headers: Headers): Record<string, string> {
  const others: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && !transportHeader.test(name)) others[name] = value
  }
  return others
}

/**
 * What a delivery holds: an event in structured or binary mode, in the spelling of any binding.
 *
 * @throws {MessagingError} `undecodable` when it is neither.
 */
export function decodeDelivery(delivery: Pick<Delivery, 'body' | 'contentType' | 'headers'>): Envelope {
  const { body, headers } = delivery
  const event = decodeEvent(body, delivery.contentType ?? contentTypeIn(headers), headers)
  const attributes = readAttributes(event.attributes)
  if ('problems' in attributes) throw undecodable(attributes.problems.join('; '))
  return { attributes, data: event.data, headers: othersIn(headers) }
}

const known = new Set([
  'specversion',
  'id',
  'source',
  'type',
  'time',
  'datacontenttype',
  'dataversion',
  'partitionkey',
  'expirytime',
  'dataschema',
  'subject',
  'data',
  'data_base64',
])
const metadataOf: ReadonlyMap<string, string> = new Map([
  ['correlationid', 'correlationId'],
  ['causationid', 'causationId'],
])

/** The message of an envelope, with its data as it travelled; `sentAt` and `key` where the event does not say. */
export function toMessage({ attributes, data, headers }: Envelope, sentAt: number, key?: string): Message {
  const { id, source, type, time, dataversion, partitionkey, expirytime, all } = attributes
  const metadata: Record<string, string> & { source: string } = { ...headers, source }
  for (const name in all) {
    if (known.has(name)) continue
    const value = all[name]
    if (value !== undefined && value !== null) metadata[metadataOf.get(name) ?? name] = String(value)
  }
  const message: Writable<Message> = {
    id,
    type,
    version: dataversion,
    timestamp: time ?? new Date(sentAt),
    data,
    metadata,
  }
  const orderingKey = partitionkey ?? key
  if (orderingKey !== undefined) message.key = orderingKey
  if (expirytime !== undefined) message.expiresAt = expirytime
  return message
}
