import { attemptOf, type Delivery } from '@waybill/core/driver'
import { type Content, decodeFields, decodeHeaders, noHeaders, usualContentType } from './messages.ts'
import { asArray, asNumber, asText, asUtf8 } from './reply.ts'

/** Where a delivery came from, and which of an entry's deliveries it is. */
export interface Position {
  /** Index into `GroupKeys.sources`. */
  readonly source: number
  /** The entry's. */
  readonly id: string
  /** The broker's delivery count: with it, a settlement is known to be of this delivery and not of a later one. */
  readonly count: number
}

/** A delivery of a stream entry, and what settling it takes. */
export class RedisDelivery implements Delivery, Position {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly deliveries: number
  readonly key = undefined
  readonly source: number
  readonly id: string
  readonly count: number
  /** By our clock. Until then nobody else can have it. */
  leaseUntil: number
  /** Its verdict is on the way: that it is no longer pending then does not mean that somebody else has it. */
  isSettling = false

  constructor(content: Content, { source, id, count }: Position, deliveries: number, leaseUntil: number) {
    this.body = content.body
    this.contentType = content.contentType
    this.headers = content.headers
    this.attempt = content.headers === noHeaders ? 1 : attemptOf(content.headers)
    this.deliveries = deliveries
    this.source = source
    this.id = id
    this.count = count
    this.leaseUntil = leaseUntil
  }
}

/** What the fetch script answers with, row by row; `sources` where it was not given all of them. */
export function fromRows(reply: unknown, leaseUntil: number, sources?: readonly number[]): RedisDelivery[] {
  const rows = asArray(reply)
  const deliveries: RedisDelivery[] = []
  for (let at = 0; at + 2 < rows.length; at += 3) {
    const index = asNumber(rows[at])
    const source = sources?.[index] ?? index
    const id = asText(rows[at + 1])
    const told = rows[at + 2]
    if (Buffer.isBuffer(told)) {
      const content = { body: told, contentType: usualContentType, headers: noHeaders }
      deliveries.push(new RedisDelivery(content, { source, id, count: 1 }, 1, leaseUntil))
      continue
    }
    const [count, type, headers, body] = asArray(told)
    const position = { source, id, count: asNumber(count) }
    if (Array.isArray(type)) {
      deliveries.push(fromEntry(position, type, leaseUntil))
      continue
    }
    const content = {
      body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
      contentType: asUtf8(type),
      headers: headers === null ? noHeaders : decodeHeaders(asUtf8(headers)),
    }
    deliveries.push(new RedisDelivery(content, position, position.count, leaseUntil))
  }
  return deliveries
}

/** What the reclaim script answers with. */
export function fromClaims(reply: unknown, leaseUntil: number): RedisDelivery[] {
  const rows = asArray(reply)
  const deliveries: RedisDelivery[] = []
  for (let at = 0; at + 3 < rows.length; at += 4) {
    const position = { source: asNumber(rows[at]), id: asText(rows[at + 1]), count: asNumber(rows[at + 2]) }
    deliveries.push(fromEntry(position, asArray(rows[at + 3]), leaseUntil))
  }
  return deliveries
}

/** What XREAD and XREADGROUP answer with: new entries, stream by stream. */
export function fromStreams(
  reply: unknown,
  sources: ReadonlyMap<string, number>,
  leaseUntil: number,
): RedisDelivery[] {
  const deliveries: RedisDelivery[] = []
  for (const stream of asArray(reply)) {
    const [name, entries] = asArray(stream)
    const source = sources.get(asText(name))
    if (source === undefined) continue
    for (const entry of asArray(entries)) {
      const [id, fields] = asArray(entry)
      deliveries.push(fromEntry({ source, id: asText(id), count: 1 }, asArray(fields), leaseUntil))
    }
  }
  return deliveries
}

function fromEntry(position: Position, fields: readonly unknown[], leaseUntil: number): RedisDelivery {
  const entry = decodeFields(fields)
  return new RedisDelivery(entry, position, entry.earlierDeliveries + position.count, leaseUntil)
}
