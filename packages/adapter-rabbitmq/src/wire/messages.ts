import { createHash } from 'node:crypto'
import { attemptOf, deadLetterIdOf, headerNames, type OutboundMessage, prefixing } from '@waybill/core/driver'
import { type Mirror, mirroredNames } from '@waybill/core/driver-kit'
import type { AmqpMessage, AmqpProperties, PublishOptions } from './amqp.ts'
import { unpacked } from './content-encoding.ts'
import { dueKey } from './delays.ts'
import { headerText, toMilliseconds } from './header-values.ts'

/** A message ready for `basic.publish`. */
export interface Outgoing {
  readonly exchange: string
  readonly routingKey: string
  readonly body: Buffer
  readonly options: PublishOptions
}

/** How often a message was handed out before, and how often its consumer was lost with it. */
export interface Counts {
  readonly deliveries: number
  readonly crashes: number
}

/** What an AMQP message carries, in core's terms. */
export interface Incoming extends Counts {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  /** In milliseconds since the epoch. */
  readonly timestamp: number | undefined
  readonly transportId: string | undefined
  readonly subject: string
  /** It was handed out before by a queue that does not say how often: a classic one. */
  readonly isUncounted: boolean
  /** What is left of a delay longer than a delay ladder. 0: due. */
  readonly remainingMs: number
}

/** CloudEvents AMQP protocol binding 1.0.2, section 3.1.3.1. */
const attributePrefix = 'cloudEvents:'
const attributeHeader = prefixing(attributePrefix)

/** The adapter's own headers: the rest of a delay, a dead letter's partition, a copy's counts. Core never sees them. */
const remainingHeader = 'x-waybill-remaining-ms'
const partitionHeader = 'x-waybill-partition'
const deliveriesHeader = 'x-waybill-deliveries'
const crashesHeader = 'x-waybill-crashes'

/**
 * So many returns of a message of an ordered topic are taken for members that stopped. It must keep its place, so it cannot
 * be given back as a copy that carries its counts, and the broker counts all returns alike.
 */
const toleratedReturns = 100

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
  mirror: Mirror,
): Pick<Outgoing, 'body' | 'options'> {
  const headers: Record<string, unknown> = {}
  const { attributes } = message
  for (const name of mirroredNames(message, mirror)) {
    const value = attributes[name]
    if (value !== undefined) headers[attributeHeader(name)] = value
  }
  addHeaders(headers, message.headers)
  const options: PublishOptions = {
    persistent: true,
    mandatory: true,
    headers,
  }
  if (message.contentType !== '') options.contentType = message.contentType
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
 * "Sender-selected Distribution"), as does the one that leads out at the end; what is left to wait after the ladder goes along in a header.
 */
export function withDelay(
  options: PublishOptions,
  remainingMs: number,
  delayKey: string | undefined,
): PublishOptions {
  const headers: Record<string, unknown> = { ...options.headers }
  if (remainingMs > 0) headers[remainingHeader] = String(remainingMs)
  return delayKey === undefined ? { ...options, headers } : { ...options, headers, CC: [delayKey, dueKey] }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '' : String(value)
}

/** The properties of a message that its copies keep: not its expiry, nor a user id, which the broker would check. */
function keptProperties(properties: AmqpProperties): PublishOptions {
  const kept: PublishOptions = {}
  if (properties.contentEncoding !== undefined) kept.contentEncoding = text(properties.contentEncoding)
  if (properties.correlationId !== undefined) kept.correlationId = text(properties.correlationId)
  if (properties.replyTo !== undefined) kept.replyTo = text(properties.replyTo)
  if (properties.messageId !== undefined) kept.messageId = text(properties.messageId)
  if (properties.type !== undefined) kept.type = text(properties.type)
  if (properties.appId !== undefined) kept.appId = text(properties.appId)
  if (typeof properties.timestamp === 'number') kept.timestamp = properties.timestamp
  return kept
}

/** What a copy carries besides the source's body and the headers it is given. */
export interface CopyExtras {
  /** Of a dead letter. */
  readonly partition?: number
  /** Of a message that is given back. */
  readonly counts?: Counts
}

/** A dead letter of an export, or an edited one, of which there is no message. */
export function toNewLetter(
  { body, contentType, headers }: Pick<Incoming, 'body' | 'contentType' | 'headers'>,
  { partition }: Pick<CopyExtras, 'partition'>,
): Pick<Outgoing, 'body' | 'options'> {
  const own: Record<string, unknown> = {}
  addHeaders(own, headers)
  if (partition !== undefined) own[partitionHeader] = String(partition)
  const options: PublishOptions = { persistent: true, mandatory: true, headers: own }
  if (contentType !== undefined) options.contentType = contentType
  return { body: toBuffer(body), options }
}

/** A copy of a received message with other headers, for a retry, a dead letter, a replay or a return. */
export function toCopy(
  source: Pick<AmqpMessage, 'content' | 'properties'>,
  headers: Readonly<Record<string, string>>,
  { partition, counts }: CopyExtras = {},
): Pick<Outgoing, 'body' | 'options'> {
  const own: Record<string, unknown> = {}
  addHeaders(own, headers)
  keepForeignValues(own, source.properties.headers ?? {}, headers)
  if (partition !== undefined) own[partitionHeader] = String(partition)
  if (counts !== undefined) {
    own[deliveriesHeader] = counts.deliveries
    own[crashesHeader] = counts.crashes
  }
  const options: PublishOptions = {
    ...keptProperties(source.properties),
    persistent: true,
    mandatory: true,
    headers: own,
  }
  if (source.properties.contentType !== undefined) options.contentType = text(source.properties.contentType)
  return { body: source.content, options }
}

/** Headers that are not text keep their type, unless core has changed them. */
function keepForeignValues(
  target: Record<string, unknown>,
  raw: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>>,
): void {
  for (const name in raw) {
    const value = raw[name]
    if (typeof value === 'string' || isBrokerHeader(name)) continue
    if (headers[plainName(name)] === headerText(value)) target[name] = value
  }
}

/** The AMQP priority of a copy that goes straight to a queue. */
export function priorityOf(headers: Readonly<Record<string, string>>): number | undefined {
  const priority = Number(headers[headerNames.priority] ?? Number.NaN)
  return Number.isInteger(priority) && priority >= 0 && priority <= 255 ? priority : undefined
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined
}

/** The headers for core: all text, without the broker's own and ours. */
function toHeaders(raw: Readonly<Record<string, unknown>>): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name in raw) {
    if (isBrokerHeader(name)) continue
    const value = headerText(raw[name])
    if (value !== undefined) headers[plainName(name)] = value
  }
  return headers
}

function plainName(name: string): string {
  return name.startsWith(escapePrefix) ? name.slice(escapePrefix.length) : name
}

/** `isOrdered`: the queue has one active consumer, and what is given back keeps its place. */
export function fromAmqp({ content, properties, fields }: AmqpMessage, isOrdered = false): Incoming {
  const raw: Readonly<Record<string, unknown>> = properties.headers ?? {}
  const headers = toHeaders(raw)
  const returned = count(raw['x-delivery-count'])
  const acquired = count(raw['x-acquired-count'])
  // Since RabbitMQ 4.3 all handings out, up to 4.2 the returns (RabbitMQ documentation, "Quorum Queues", "Poison Message
  // Handling"). Classic queues only tell that there was one.
  const earlier = acquired ?? returned ?? (fields.redelivered ? 1 : 0)
  const crashes = isOrdered ? Math.max(0, (returned ?? 0) - toleratedReturns) : (returned ?? 0)
  const { timestamp, contentEncoding, contentType, messageId } = properties
  return {
    body: contentEncoding === undefined ? content : unpacked(content, contentEncoding),
    contentType: contentType === undefined ? undefined : text(contentType),
    headers,
    attempt: attemptOf(headers),
    deliveries: (count(raw[deliveriesHeader]) ?? 0) + earlier + 1,
    crashes: (count(raw[crashesHeader]) ?? 0) + crashes,
    timestamp: typeof timestamp === 'number' ? toMilliseconds(timestamp) : undefined,
    transportId: typeof messageId === 'string' && messageId !== '' ? messageId : undefined,
    // On ordered topics the partition comes first.
    subject: isOrdered ? fields.routingKey.replace(/^\d+\./, '') : fields.routingKey,
    // Since 4.3 what was only given back comes again with the first count alone.
    isUncounted: fields.redelivered && returned === undefined && acquired === undefined,
    remainingMs: Number(raw[remainingHeader] ?? 0),
  }
}

/** The partition that a dead letter came from. */
export function partitionOfLetter({ properties }: Pick<AmqpMessage, 'properties'>): number {
  const partition = Number(properties.headers?.[partitionHeader] ?? 0)
  return Number.isSafeInteger(partition) && partition >= 0 ? partition : 0
}

/** A letter's id; of one that the broker moved there itself, something that stays the same. */
export function letterId(
  { content, properties }: Pick<AmqpMessage, 'content' | 'properties'>,
  headers: Incoming['headers'],
): string {
  const id: unknown = deadLetterIdOf(headers) ?? properties.messageId
  return typeof id === 'string' ? id : createHash('sha256').update(content).digest('hex').slice(0, 32)
}

/**
 * For headers that became too long for AMQP by what was added on the way: cuts the longest text of the failure record, or
 * else leaves out the attributes that are also in the body. The message must still be written.
 */
export function shortenHeaders(options: PublishOptions): PublishOptions {
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
