import { headerNames, replayHeaders } from '../driver/transport-headers.ts'
import type { Delivery, OutboundMessage } from '../driver.ts'
import { attributesIn, contentTypeIn, isStructured, othersIn, structuredType } from './cloud-events.ts'

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
  /**
   * Waybill's headers that stay with a message wherever it goes: its priority, what was done to its body, who waits for a reply,
   * and of a message that is no CloudEvents event what its transport said of it.
   */
  readonly lasting: Readonly<Record<string, string>>
}

type Source = Pick<Delivery, 'body' | 'contentType' | 'headers' | 'timestamp' | 'transportId' | 'subject'> & {
  readonly key?: string | undefined
}

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
  const said = source.contentType ?? contentTypeIn(headers)
  const inHeaders = attributesIn(headers)
  // Of a body that went through stages only the headers say something, whatever it looks like.
  const isStaged = headers[headerNames.stages] !== undefined
  const isUnsaid = said === undefined && inHeaders.specversion === undefined
  const inBody = !isStaged && (isUnsaid || isStructured(said)) ? attributesInBody(body) : {}
  const isEvent = inBody.specversion !== undefined
  const attributes = isEvent ? inBody : inHeaders
  // An event whose attributes are mirrored in headers would else be taken for the data of another.
  const contentType = isEvent ? (said ?? structuredType) : said
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
    lasting: lastingOf(source, attributes),
  }
}

/** The parts of a message that travel as they came. */
export function writtenOf({
  body,
  contentType = '',
  attributes,
  headers,
  lasting,
}: UndecodedMessage): Pick<OutboundMessage, 'body' | 'contentType' | 'attributes' | 'headers'> {
  return { body, contentType, attributes, headers: { ...headers, ...lasting } }
}

/** 0 to 9; undefined when the sender chose none. */
export function priorityOf({ lasting }: Pick<UndecodedMessage, 'lasting'>): number | undefined {
  const priority = Number(lasting[headerNames.priority] ?? Number.NaN)
  return Number.isInteger(priority) && priority >= 0 && priority <= 9 ? priority : undefined
}

type Attributes = Readonly<Record<string, string>>

function attributesInBody(event: Uint8Array): Attributes {
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

/** Of a message that is no event, also what only its transport says: a copy's transport would say something else. */
function lastingOf({ headers, transportId, subject, timestamp }: Source, attributes: Attributes): Attributes {
  const kept: Record<string, string> = {}
  if (attributes.specversion === undefined) {
    if (transportId !== undefined) kept[headerNames.id] = transportId
    if (subject !== undefined) kept[headerNames.subject] = subject
    if (timestamp !== undefined) kept[headerNames.time] = new Date(timestamp).toISOString()
  }
  const replayed = Object.entries(replayHeaders(headers)).filter(([name]) => name.startsWith('waybill-'))
  const { [headerNames.replyTo]: replyTo } = headers
  return {
    ...kept,
    ...Object.fromEntries(replayed),
    ...(replyTo !== undefined && { [headerNames.replyTo]: replyTo }),
  }
}

function toDate(time: string | number | undefined): Date | undefined {
  const date = new Date(time ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date
}
