import { headerNames, replayHeaders } from '../driver/transport-headers.ts'
import type { Delivery, OutboundMessage, TopicSpec } from '../driver.ts'
import { attributesIn, contentTypeIn, isStructured, othersIn } from './cloud-events.ts'

/**
 * A message as it travels, and what can be told of it without its definition, its codec and its stages. What it does not
 * say is undefined.
 */
export interface UndecodedMessage {
  readonly id: string | undefined
  readonly type: string | undefined
  readonly key: string | undefined
  /** When it was sent. */
  readonly timestamp: Date | undefined
  readonly expiresAt: Date | undefined
  /** CloudEvents attributes, of the body or of the headers. */
  readonly attributes: Readonly<Record<string, string>>
  /** Headers that are the user's own. */
  readonly headers: Readonly<Record<string, string>>
  /** Byte for byte. */
  readonly body: Uint8Array
  readonly contentType: string | undefined
  /** Waybill's headers that stay with a message for as long as it lives: its priority, what was done to its body. */
  readonly lasting: Readonly<Record<string, string>>
}

type Source = Pick<
  Delivery,
  'body' | 'contentType' | 'headers' | 'key' | 'timestamp' | 'transportId' | 'subject'
>

/**
 * What can be told of a delivery. Never throws: a body that cannot be read says nothing.
 *
 * @example
 * for (const delivery of await subscription.receive(100, signal)) {
 *   const { id, type, key, body } = toUndecoded(delivery)
 *   console.log(id, type, key, Buffer.from(body).toString())
 * }
 */
export function toUndecoded(source: Source): UndecodedMessage {
  const { body, headers } = source
  const contentType = source.contentType ?? contentTypeIn(headers)
  const attributes = isStructured(contentType) ? attributesOf(body) : attributesIn(headers)
  return {
    id: attributes.id ?? headers[headerNames.id] ?? source.transportId,
    type: attributes.type ?? headers[headerNames.subject] ?? source.subject,
    key: attributes.partitionkey ?? source.key,
    timestamp: toDate(attributes.time ?? headers[headerNames.time]) ?? toDate(source.timestamp),
    expiresAt: toDate(attributes.expirytime),
    attributes,
    headers: othersIn(headers),
    body,
    contentType,
    lasting: lastingOf(headers),
  }
}

/**
 * The same message for another topic or broker, byte for byte, under its own id. What it does not say has to be given.
 *
 * @example
 * const outcomes = await target.publish(deliveries.map((each) => toOutbound(toUndecoded(each), topic, { type: 'unknown' })))
 */
export function toOutbound(
  message: UndecodedMessage,
  topic: TopicSpec,
  { id = '', type = '' }: { readonly id?: string; readonly type?: string } = {},
): OutboundMessage {
  const { body, contentType, attributes, headers, lasting } = message
  const priority = Number(lasting[headerNames.priority] ?? Number.NaN)
  const key = message.key ?? (topic.ordered ? '' : undefined)
  return {
    topic,
    id: message.id ?? id,
    type: message.type ?? type,
    key,
    body,
    contentType: contentType ?? 'application/octet-stream',
    attributes,
    headers: { ...headers, ...lasting },
    delayMs: 0,
    priority: Number.isInteger(priority) && priority >= 0 && priority <= 9 ? priority : undefined,
    expiresAt: message.expiresAt?.getTime(),
  }
}

function attributesOf(event: Uint8Array): Record<string, string> {
  const attributes: Record<string, string> = {}
  try {
    const parsed: unknown = JSON.parse(Buffer.from(event).toString('utf8'))
    for (const [name, value] of Object.entries(parsed ?? {})) {
      const isAttribute = name !== 'data' && name !== 'data_base64' && typeof value !== 'object'
      if (isAttribute) attributes[name] = String(value)
    }
  } catch {
    // It says nothing.
  }
  return attributes
}

function lastingOf(headers: UndecodedMessage['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(replayHeaders(headers)).filter(([name]) => name.startsWith('waybill-')),
  )
}

function toDate(time: string | number | undefined): Date | undefined {
  const date = new Date(time ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date
}
