import { createHash } from 'node:crypto'
import { attemptOf, deadLetterIdOf, headerNames, type OutboundMessage, prefixing } from '@waybill/core/driver'
import type { Message, MessageProperties, Options } from 'amqplib'

/** A message ready for `basic.publish`. */
export interface Outgoing {
  readonly exchange: string
  readonly routingKey: string
  readonly body: Buffer
  readonly options: Options.Publish
}

/** What an AMQP message carries, in core's terms. */
export interface Incoming {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly deliveries: number
  /** What is left of a delay longer than a delay ladder. 0: due. */
  readonly remainingMs: number
}

/** CloudEvents AMQP protocol binding 1.0.2, section 3.1.3.1. */
const attributePrefix = 'cloudEvents:'
const attributeHeader = prefixing(attributePrefix)

/** CloudEvents 1.0.2, section 3.1.1. */
const requiredAttributes = new Set(['id', 'source', 'specversion', 'type'])

/** Ours alone: what is left of a delay, and the partition of a dead letter. Core never sees them. */
const remainingHeader = 'x-waybill-remaining-ms'
const partitionHeader = 'x-waybill-partition'

/**
 * Names that the broker gives a meaning of its own (RabbitMQ documentation, "Sender-selected Distribution", "Dead Letter
 * Exchanges", "Quorum Queues"). A header of a user's with such a name travels under another.
 */
const brokerHeader = /^(?:B?CC|x-(?:death|(?:first|last)-death-.*|delivery-count|acquired-count|waybill-.*))$/
const escapePrefix = 'waybill:'

/** A field of type shortstr, such as a routing key or a message id (AMQP 0-9-1 specification, 4.2.5.3). */
const maxShortStringBytes = 255

function isBrokerHeader(name: string): boolean {
  const first = name.charCodeAt(0)
  // Only names that begin with B, C or x can be.
  return (first === 0x42 || first === 0x43 || first === 0x78) && brokerHeader.test(name)
}

function addHeaders(target: Record<string, unknown>, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) {
    target[isBrokerHeader(name) || name.startsWith(escapePrefix) ? escapePrefix + name : name] = headers[name]
  }
}

function toBuffer(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}

function shortString(text: string): string | undefined {
  return Buffer.byteLength(text) <= maxShortStringBytes ? text : undefined
}

/** A message to be sent, without the way there. `now` is in milliseconds since the epoch. */
export function toAmqp(
  message: OutboundMessage,
  now: number,
  mirror: 'required' | 'all' | 'none',
): Pick<Outgoing, 'body' | 'options'> {
  const headers: Record<string, unknown> = {}
  const { attributes } = message
  if (mirror !== 'none') {
    for (const name in attributes) {
      if (mirror === 'all' || requiredAttributes.has(name)) headers[attributeHeader(name)] = attributes[name]
    }
  }
  addHeaders(headers, message.headers)
  const options: Options.Publish = {
    persistent: true,
    mandatory: true,
    contentType: message.contentType,
    headers,
  }
  const id = shortString(message.id)
  if (id !== undefined) options.messageId = id
  const type = shortString(message.type)
  if (type !== undefined) options.type = type
  // In a delay queue a priority would let a message overtake older ones, and an expiry would let it leave early.
  if (message.delayMs > 0) return { body: toBuffer(message.body), options }
  if (message.priority !== undefined) options.priority = message.priority
  if (message.expiresAt !== undefined)
    options.expiration = String(Math.max(0, Math.ceil(message.expiresAt - now)))
  return { body: toBuffer(message.body), options }
}

/**
 * The same for a way through a ladder. `CC` is one more routing key, which stays with the message (RabbitMQ documentation,
 * "Sender-selected Distribution"); what is left to wait after the ladder goes along in a header.
 */
export function withDelay(
  options: Options.Publish,
  remainingMs: number,
  delayKey: string | undefined,
): Options.Publish {
  const headers: Record<string, unknown> = { ...options.headers }
  if (remainingMs > 0) headers[remainingHeader] = String(remainingMs)
  return delayKey === undefined ? { ...options, headers } : { ...options, headers, CC: [delayKey] }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '' : String(value)
}

/** The properties of a message that its copies keep: not its expiry, nor a user id, which the broker would check. */
function keptProperties(properties: MessageProperties): Options.Publish {
  const kept: Options.Publish = {}
  if (properties.contentEncoding !== undefined) kept.contentEncoding = text(properties.contentEncoding)
  if (properties.correlationId !== undefined) kept.correlationId = text(properties.correlationId)
  if (properties.replyTo !== undefined) kept.replyTo = text(properties.replyTo)
  if (properties.messageId !== undefined) kept.messageId = text(properties.messageId)
  if (properties.type !== undefined) kept.type = text(properties.type)
  if (properties.appId !== undefined) kept.appId = text(properties.appId)
  if (typeof properties.timestamp === 'number') kept.timestamp = properties.timestamp
  return kept
}

/** A copy of a received message with other headers, for a retry, a dead letter or a replay. */
export function toCopy(
  source: Pick<Message, 'content' | 'properties'>,
  headers: Readonly<Record<string, string>>,
  partition?: number,
): Pick<Outgoing, 'body' | 'options'> {
  const own: Record<string, unknown> = {}
  addHeaders(own, headers)
  if (partition !== undefined) own[partitionHeader] = String(partition)
  const options: Options.Publish = {
    ...keptProperties(source.properties),
    persistent: true,
    mandatory: true,
    headers: own,
  }
  if (source.properties.contentType !== undefined) options.contentType = text(source.properties.contentType)
  return { body: source.content, options }
}

/** The AMQP priority of a copy that goes straight to a queue. */
export function priorityOf(headers: Readonly<Record<string, string>>): number | undefined {
  const priority = Number(headers[headerNames.priority] ?? Number.NaN)
  return Number.isInteger(priority) && priority >= 0 && priority <= 255 ? priority : undefined
}

/** Header values of foreign senders may be of any AMQP type; core takes text. */
function headerText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return ''
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined
}

/** The headers for core: all text, without the broker's own and ours. */
function toHeaders(raw: Readonly<Record<string, unknown>>): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name in raw) {
    if (isBrokerHeader(name)) continue
    const value = raw[name]
    const plain = name.startsWith(escapePrefix) ? name.slice(escapePrefix.length) : name
    headers[plain] = typeof value === 'string' ? value : headerText(value)
  }
  return headers
}

export function fromAmqp({ content, properties, fields }: Message): Incoming {
  const raw: Readonly<Record<string, unknown>> = properties.headers ?? {}
  const headers = toHeaders(raw)
  // Both count the times before this one: since RabbitMQ 4.3 all of them, up to 4.2 the returns (RabbitMQ
  // documentation, "Quorum Queues", "Poison Message Handling"). Classic queues only tell that there was one.
  const earlier =
    count(raw['x-acquired-count']) ?? count(raw['x-delivery-count']) ?? (fields.redelivered ? 1 : 0)
  return {
    body: content,
    contentType: properties.contentType === undefined ? undefined : text(properties.contentType),
    headers,
    attempt: attemptOf(headers),
    deliveries: earlier + 1,
    remainingMs: Number(raw[remainingHeader] ?? 0),
  }
}

/** The partition that a dead letter came from. */
export function partitionOfLetter({ properties }: Pick<Message, 'properties'>): number {
  const partition = Number(properties.headers?.[partitionHeader] ?? 0)
  return Number.isSafeInteger(partition) && partition >= 0 ? partition : 0
}

/** A letter's id; of one that the broker moved there itself, something that stays the same. */
export function letterId(
  { content, properties }: Pick<Message, 'content' | 'properties'>,
  headers: Incoming['headers'],
): string {
  const id: unknown = deadLetterIdOf(headers) ?? properties.messageId
  return typeof id === 'string' ? id : createHash('sha256').update(content).digest('hex').slice(0, 32)
}

/**
 * For headers that became too long for AMQP by what was added on the way: cuts the longest text of the failure record, or
 * else leaves out the attributes that are in the body too. The message must find its place all the same.
 */
export function shortenHeaders(options: Options.Publish): Options.Publish {
  const headers: Record<string, unknown> = { ...options.headers }
  for (const name of [headerNames.errorStack, headerNames.errorMessage, headerNames.reason]) {
    const value = headers[name]
    if (typeof value !== 'string' || value.length <= 256) continue
    headers[name] = `${value.slice(0, 200)} …`
    return { ...options, headers }
  }
  if (!options.contentType?.startsWith('application/cloudevents')) return options
  const others = Object.entries(headers).filter(([name]) => !name.startsWith(attributePrefix))
  return { ...options, headers: Object.fromEntries(others) }
}
