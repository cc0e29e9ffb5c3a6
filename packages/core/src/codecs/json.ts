import { z } from 'zod'
import { lazily, parseOptions } from '../lib/validation.ts'
import { attributesIn } from '../messages/cloud-events.ts'
import type { Codec, DecodedMessage, EncodedMessage, WireMessage } from '../messages/codec.ts'
import type { Message } from '../messages/message.ts'
import { isObject, jsonData, jsonIn, jsonType, textOf, timeOf, toJson } from './json-body.ts'
import { asWritten, fieldAt, type Place, type Places, placesSchema, valueIn, withField } from './places.ts'
import { readTime } from './times.ts'
import { TypeNames } from './type-names.ts'

export interface JsonOptions {
  /** Where the type is. A body without it is not read by this codec, unless CloudEvents headers tell the type. */
  readonly type: Places
  /** Default: the transport's own id, or a random one. */
  readonly id?: Places
  /** ISO 8601 (UTC where it names no zone), or seconds or milliseconds since 1970 (from 10^11 on). Written as ISO 8601. Default: when the transport took it. */
  readonly time?: Places
  /** Default: the topic's name. */
  readonly source?: Places
  /** The ordering key. Default: the transport's. */
  readonly key?: Places
  /** The version of the data's shape, a positive integer. Default: 1. */
  readonly version?: Places
  readonly correlationId?: Places
  readonly causationId?: Places
  /** The field that holds the data, `'a.b'` if it is nested. Default: the whole body is the data, the fields named above included. */
  readonly data?: { readonly field: string }
  /** Others' names of types, by Waybill's: `{ 'order.placed': 'OrderPlaced' }`. Others stay as they are. */
  readonly types?: Readonly<Record<string, string>>
}

const optionsSchema = lazily(() => {
  const places = placesSchema().optional()
  return z.strictObject({
    type: placesSchema(),
    id: placesSchema()
      .refine(
        (all) => !all.some((place) => typeof place === 'object' && 'fixed' in place),
        'expected a place that differs from message to message',
      )
      .optional(),
    time: places,
    source: places,
    key: places,
    version: places,
    correlationId: places,
    causationId: places,
    data: z.strictObject({ field: z.string().min(1) }).optional(),
    types: z.record(z.string(), z.string().min(1)).default({}),
  })
})

type Parsed = z.output<ReturnType<typeof optionsSchema>>

/**
 * Plain JSON, as programs write it that know no envelope: both ways. What the body and the headers do not say is filled in and
 * marked in `message.filledIn`. Waybill's own messages carry CloudEvents headers as well, from which nothing is lost.
 *
 * ```ts
 * // {"event":"order.placed","orderId":"o-1","createdAt":"2026-11-28T10:00:00Z"}
 * const orders = defineTopic('orders', {
 *   codec: json({ type: { field: 'event' }, id: { header: 'message-id' }, time: { field: 'createdAt' } }),
 * })
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 */
export function json(options: JsonOptions): Codec {
  const parsed = parseOptions(optionsSchema(), options, 'json options')
  const names = new TypeNames(parsed.types)
  return {
    name: 'json',
    encode: (message) => encode(message, parsed, names),
    decode: (wire) => decode(wire, parsed, names),
  }
}

function encode(message: Message, { data: dataPlace, ...places }: Parsed, names: TypeNames): EncodedMessage {
  const { metadata, timestamp } = message
  const data = asWritten(jsonData(message.data))
  const headers: Record<string, string> = {}
  let body: unknown = dataPlace === undefined ? data : withField({}, dataPlace.field, data)
  const write = (
    what: string,
    all: readonly Place[] = [],
    value: string | number | undefined,
    agrees?: (present: unknown) => boolean,
  ) => {
    const place = all.find((each) => typeof each === 'object' && !('fixed' in each))
    if (value === undefined || typeof place !== 'object') return
    if ('header' in place) headers[place.header] = String(value)
    else if ('field' in place) {
      if (!isObject(body))
        throw new Error(`${what} goes into the field ${place.field}, so the data has to be an object`)
      body = withField(body, place.field, value, agrees)
    }
  }
  const type = names.theirs(message.type)
  refuseOtherFixed('type', places.type, type)
  refuseOtherFixed('version', places.version, String(message.version))
  write('type', places.type, type)
  write('id', places.id, message.id)
  // The same moment may be written in many ways.
  const isTheTime = (present: unknown) => readTime(asWritten(present))?.getTime() === timestamp.getTime()
  write('time', places.time, timestamp.toISOString(), isTheTime)
  write('source', places.source, metadata.source)
  write('key', places.key, message.key)
  write('version', places.version, message.version)
  write('correlationId', places.correlationId, metadata.correlationId)
  write('causationId', places.causationId, metadata.causationId)
  return { body: toJson(body), contentType: jsonType, headers }
}

/** Where nothing else tells it, readers would take the message for what it is not. */
function refuseOtherFixed(what: string, places: readonly Place[] = [], value: string): void {
  const [only, ...others] = places
  if (others.length > 0 || typeof only !== 'object' || !('fixed' in only) || only.fixed === value) return
  throw new Error(`the ${what} is fixed as ${only.fixed}, and this message has ${value}`)
}

function decode(wire: WireMessage, places: Parsed, names: TypeNames): DecodedMessage | undefined {
  const body = jsonIn(wire)?.value
  if (body === undefined) return undefined
  const type = typeIn(places.type, body, wire)
  if (type === undefined && attributesIn(wire.headers).type === undefined) return undefined
  const data = places.data === undefined ? body : fieldAt(places.data.field, body)
  if (data === undefined) return undefined
  const text = (what: 'id' | 'source' | 'key' | 'correlationId' | 'causationId') =>
    textOf(valueIn(places[what], body, wire), what)
  const version = valueIn(places.version, body, wire)
  return {
    data,
    type: type === undefined ? undefined : names.ours(type),
    id: text('id'),
    source: text('source'),
    key: text('key'),
    time: timeOf(valueIn(places.time, body, wire), 'time'),
    version: version === undefined ? undefined : Number(version),
    metadata: { correlationId: text('correlationId'), causationId: text('causationId') },
  }
}

/** A field that is no text is somebody else's: another codec is asked. */
function typeIn(places: readonly Place[], body: unknown, wire: WireMessage): string | undefined {
  const type = valueIn(places, body, wire)
  return typeof type === 'object' || typeof type === 'boolean' ? undefined : textOf(type, 'type')
}
