import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { z } from 'zod'

/** A message attribute, as both services write it. */
export interface AttributeValue {
  readonly DataType: string | undefined
  readonly StringValue?: string | undefined
  readonly BinaryValue?: Uint8Array | undefined
}

/** A received message, as the service writes it (Amazon SQS API Reference, Message). */
export interface SqsMessage {
  readonly MessageId?: string | undefined
  readonly ReceiptHandle?: string | undefined
  readonly Body?: string | undefined
  readonly Attributes?: Readonly<Record<string, string>> | undefined
  readonly MessageAttributes?: Readonly<Record<string, AttributeValue>> | undefined
}

/** What is carried, in Waybill's words. */
export interface Content {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Where the service's own place for it, the message group, is taken by something else. */
  readonly key?: string | undefined
  /** Not to be delivered before this many milliseconds after it was sent, where the service is not told. */
  readonly delayMs?: number | undefined
  /** What the copies before this one went through, where a message was given back as a copy. */
  readonly past?: Past | undefined
}

/** SQS counts how often a message was received, for any reason. A copy starts at 0 and carries the count that must continue. */
export interface Past {
  readonly deliveries: number
  readonly crashes: number
}

/** What goes into a queue or topic. */
export interface Outgoing extends Content {
  /** On FIFO queues and topics. */
  readonly fifo?: FifoPlace | undefined
  /** Whole seconds, on standard queues. */
  readonly delaySeconds?: number | undefined
}

/** A message as SQS and SNS take it. */
export interface Encoded {
  readonly text: string
  readonly attributes: Readonly<Record<string, AttributeValue>>
  /** As the services count it: body, and name, type and value of each attribute (Amazon SQS Developer Guide, "Message metadata"). */
  readonly bytes: number
}

/** A message as it was received. */
export interface Received extends Content {
  readonly id: string
  readonly receipt: string
  /** ApproximateReceiveCount: of this copy. */
  readonly receives: number
  /** On FIFO queues; standard ones may tell one too, which only shares them out fairly. */
  readonly groupId: string | undefined
  /** By the service's clock, in milliseconds since the epoch. */
  readonly sentAt: number
  readonly firstReceivedAt: number
}

/**
 * Everything of a message that has no attribute of its own, in one attribute: a message has at most ten, and one with
 * more is dropped on its way from topic to queue (Amazon SNS Developer Guide, "Amazon SNS message attributes").
 */
const wrapper = 'waybill'
const contentTypeName = 'content-type'
/** Foreign senders spell it as they like. */
const contentTypeShape = /^content-?type$/i
/** Ten, without the wrapper and the content type. */
const mostMirrored = 8

const wrapperSchema = z.strictObject({
  headers: z.record(z.string(), z.string()).optional(),
  encoding: z.literal('base64').optional(),
  key: z.string().optional(),
  delayMs: z.number().min(0).optional(),
  past: z.strictObject({ deliveries: z.int().min(0), crashes: z.int().min(0) }).optional(),
})

/**
 * What a body or an attribute may not hold (Amazon SQS API Reference, SendMessage, MessageBody): the service does not
 * refuse such characters but puts U+FFFD in their place.
 */
const forbidden = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u
/** Of these, the only ones that JSON does not escape by itself. */
const unescaped = /[\uFFFE\uFFFF]/g

function attribute(value: string): AttributeValue {
  return { DataType: 'String', StringValue: value }
}

/** The body as text, or undefined where it is none that the service carries unchanged. */
function plainText(body: Uint8Array): string | undefined {
  if (body.byteLength === 0 || !isUtf8(body)) return undefined
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
  return forbidden.test(text) ? undefined : text
}

/** The message for the wire. Bodies that are not text, and on request all, are Base64. */
export function encode(content: Content, asText = true): Encoded {
  const plain = asText ? plainText(content.body) : undefined
  // An empty body is not taken; decoding Base64 leaves the blank out.
  const text = plain ?? (Buffer.from(content.body).toString('base64') || ' ')
  const attributes: Record<string, AttributeValue> = {}
  if (content.contentType !== undefined) attributes[contentTypeName] = attribute(content.contentType)
  const headers: Record<string, string> = {}
  let mirrored = 0
  for (const [name, value] of Object.entries(content.headers)) {
    const fits = /^ce-[a-z0-9]+$/.test(name) && value !== '' && !forbidden.test(value)
    if (fits && mirrored < mostMirrored) {
      attributes[name] = attribute(value)
      mirrored += 1
    } else headers[name] = value
  }
  const wrapped: z.output<typeof wrapperSchema> = {
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(plain === undefined && { encoding: 'base64' }),
    ...(content.key !== undefined && { key: content.key }),
    ...(content.delayMs !== undefined && { delayMs: content.delayMs }),
    ...(content.past !== undefined && { past: content.past }),
  }
  if (Object.keys(wrapped).length > 0) {
    const json = JSON.stringify(wrapped).replaceAll(
      unescaped,
      (character) => `\\u${character.charCodeAt(0).toString(16)}`,
    )
    attributes[wrapper] = attribute(json)
  }
  return { text, attributes, bytes: sizeOf(text, attributes) }
}

function sizeOf(text: string, attributes: Readonly<Record<string, AttributeValue>>): number {
  let bytes = Buffer.byteLength(text)
  for (const name in attributes) {
    const { DataType = '', StringValue = '' } = attributes[name] ?? {}
    bytes += name.length + DataType.length + Buffer.byteLength(StringValue)
  }
  return bytes
}

function readWrapper(value: string): z.output<typeof wrapperSchema> | undefined {
  try {
    return wrapperSchema.parse(JSON.parse(value))
  } catch {
    // A foreign sender's attribute of the same name.
    return undefined
  }
}

/** A received message, from Waybill or any other sender. */
export function decode(message: SqsMessage, isFifo = false): Received {
  const { MessageId = '', ReceiptHandle = '', Body = '', Attributes = {}, MessageAttributes = {} } = message
  let contentType: string | undefined
  let wrapped: ReturnType<typeof readWrapper>
  const headers: Record<string, string> = {}
  for (const [name, { StringValue, BinaryValue }] of Object.entries(MessageAttributes)) {
    const value = StringValue ?? Buffer.from(BinaryValue ?? []).toString('base64')
    if (name === wrapper) wrapped = readWrapper(value)
    if (contentTypeShape.test(name)) contentType = value
    else if (name !== wrapper || wrapped === undefined) headers[name] = value
  }
  return {
    id: MessageId,
    receipt: ReceiptHandle,
    body: Buffer.from(Body, wrapped?.encoding === 'base64' ? 'base64' : 'utf8'),
    contentType,
    headers: Object.assign(headers, wrapped?.headers),
    key: wrapped?.key ?? Attributes.MessageGroupId,
    delayMs: wrapped?.delayMs,
    past: wrapped?.past,
    receives: Math.max(1, Number(Attributes.ApproximateReceiveCount ?? 1)),
    groupId: isFifo ? (Attributes.MessageGroupId ?? '') : undefined,
    sentAt: Number(Attributes.SentTimestamp ?? 0),
    firstReceivedAt: Number(Attributes.ApproximateFirstReceiveTimestamp ?? 0),
  }
}

/**
 * How many milliseconds of its delay a received message still has to wait, `now` by the service's clock: on later receipts
 * the message tells the time of the first only.
 */
export function remainingDelay(message: Received, now: number): number {
  if (message.delayMs === undefined) return 0
  const receivedAt = message.receives > 1 ? now : message.firstReceivedAt
  return Math.max(0, message.delayMs - (receivedAt - message.sentAt))
}

/** A delay in whole seconds for the service, never too short, and what has to be carried along where it is too long. */
export function splitDelay(
  delayMs: number,
  longestMs: number,
): { readonly seconds: number; readonly carriedMs: number | undefined } {
  if (delayMs <= longestMs) return { seconds: Math.ceil(delayMs / 1000), carriedMs: undefined }
  return { seconds: Math.floor(longestMs / 1000), carriedMs: delayMs }
}

/** Both ids have at most 128 letters, digits and punctuation characters (Amazon SQS API Reference, SendMessage). */
const idShape = /^[!-~]{1,128}$/

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Where a message belongs in a FIFO queue or topic. */
export interface FifoPlace {
  readonly groupId: string
  readonly deduplicationId: string
}

/** The message group of a key is the key itself where it may be one. */
export function placeOf(key: string | undefined, deduplicationId: string): FifoPlace {
  const groupId = key ?? deduplicationId
  return { groupId: idShape.test(groupId) ? groupId : hash(groupId), deduplicationId }
}

/** Equal for equal events: an event's id is unique among those of its source (CloudEvents 1.0.2, "id"). */
export function deduplicationIdOf(source: string | undefined, id: string): string {
  return hash(`${source ?? ''}\n${id}`)
}
