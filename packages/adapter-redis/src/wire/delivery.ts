import { attemptOf, type Delivery } from '@waybill/core/driver'
import { type Answer, listOf } from './call.ts'
import { type Content, decodeFields, decodeHeaders, noHeaders, usualContentType } from './entries.ts'
import { asArray, asNumber, asText, type Fields } from './reply.ts'

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
  readonly crashes: number
  readonly key = undefined
  readonly timestamp: number
  readonly source: number
  readonly id: string
  readonly count: number
  /** By our clock. Until then nobody else can have it. */
  leaseUntil: number
  /** Its verdict is on the way: that it is no longer pending then does not mean that somebody else has it. */
  isSettling = false

  constructor(content: Content, { source, id, count }: Position, leaseUntil: number, expired = 0) {
    this.body = content.body
    this.contentType = content.contentType
    this.headers = content.headers
    this.attempt = content.headers === noHeaders ? 1 : attemptOf(content.headers)
    this.deliveries = count + expired
    // What is given back is not counted, so what counts more than once was in the hands of a member that died.
    this.crashes = this.deliveries - 1
    this.timestamp = Number.parseInt(id, 10)
    this.source = source
    this.id = id
    this.count = count
    this.leaseUntil = leaseUntil
  }

  /** Several streams can have entries of one id. */
  get transportId(): string {
    return `${this.source}/${this.id}`
  }
}

/** What the fetch script answers with; `sources` where it was not given all of them. */
export function fromAnswer(
  { fields, values }: Answer,
  leaseUntil: number,
  sources?: readonly number[],
): RedisDelivery[] {
  let at = 0
  return listOf(fields.entries).map((entry) => {
    const index = asNumber(entry.source)
    const position = { source: sources?.[index] ?? index, id: asText(entry.id), count: countOf(entry) }
    if (entry.fields === undefined) return new RedisDelivery(ours(entry, values[at++]), position, leaseUntil)
    const end = at + asNumber(entry.fields)
    const content = decodeFields(values.slice(at, end))
    at = end
    return new RedisDelivery(content, position, leaseUntil)
  })
}

function countOf({ count }: Fields): number {
  return count === undefined ? 1 : asNumber(count)
}

function ours({ type, headers }: Fields, body: unknown): Content {
  return {
    body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
    contentType: type === undefined ? usualContentType : asText(type),
    headers: headers === undefined ? noHeaders : decodeHeaders(asText(headers)),
  }
}

/** What XREAD answers with: new entries, stream by stream. */
export function fromStreams(reply: unknown, sources: ReadonlyMap<string, number>): RedisDelivery[] {
  const deliveries: RedisDelivery[] = []
  for (const stream of asArray(reply)) {
    const [name, entries] = asArray(stream)
    const source = sources.get(asText(name))
    if (source === undefined) continue
    for (const entry of asArray(entries)) {
      const [id, fields] = asArray(entry)
      const position = { source, id: asText(id), count: 1 }
      deliveries.push(new RedisDelivery(decodeFields(asArray(fields)), position, Number.POSITIVE_INFINITY))
    }
  }
  return deliveries
}
