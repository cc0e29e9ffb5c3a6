import { z } from 'zod'
import { lazily, parseOptions } from '../lib/validation.ts'
import { attributesIn } from '../messages/cloud-events.ts'
import type { Codec, DecodedMessage, EncodedMessage, WireMessage } from '../messages/codec.ts'
import type { Message } from '../messages/message.ts'
import { isObject, jsonData, jsonIn, jsonType, objectIn, textOf, timeOf, toJson } from './json-body.ts'
import { fieldAt, type Place, type Places, placesSchema, valueIn, withField } from './places.ts'
import { TypeNames } from './type-names.ts'

export interface JsonOptions {
  /** Where the type is. A body without it is not read by this codec, unless CloudEvents headers tell the type. */
  readonly type: Places
  /** Default: the transport's own id, or a random one. */
  readonly id?: Places
  /** ISO 8601, or seconds or milliseconds since 1970. Written as ISO 8601. Default: when the transport took it. */
  readonly time?: Places
  /** Default: the topic's name. */
  readonly source?: Places
  /** The ordering key. Default: the transport's. */
  readonly key?: Places
  /** The version of the data's shape, a positive integer. Default: 1. */
  readonly version?: Places
  readonly correlationId?: Places
  readonly causationId?: Places
  /** The field that holds the data. Default: the whole body is the data, the fields named above included. */
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
  const { metadata } = message
  const data = jsonData(message.data)
  const headers: Record<string, string> = {}
  let body: unknown = dataPlace === undefined ? data : { [dataPlace.field]: data }
  const write = (what: string, [place]: readonly Place[] = [], value: string | number | undefined) => {
    if (place === undefined || place === 'routing-key' || value === undefined) return
    if ('fixed' in place) {
      if (what === 'type' && place.fixed !== value) throw new Error(`the type is fixed as ${place.fixed}`)
    } else if ('header' in place) headers[place.header] = String(value)
    else {
      if (!isObject(body))
        throw new Error(`${what} goes into the field ${place.field}, so the data has to be an object`)
      body = withField(body, place.field, value)
    }
  }
  write('type', places.type, names.theirs(message.type))
  write('id', places.id, message.id)
  write('time', places.time, message.timestamp.toISOString())
  write('source', places.source, metadata.source)
  write('key', places.key, message.key)
  write('version', places.version, message.version)
  write('correlationId', places.correlationId, metadata.correlationId)
  write('causationId', places.causationId, metadata.causationId)
  return { body: toJson(body), contentType: jsonType, headers }
}

function decode(wire: WireMessage, places: Parsed, names: TypeNames): DecodedMessage | undefined {
  const { data } = places
  const needsObject = data !== undefined || Object.values(places).some(namesField)
  const body = needsObject ? objectIn(wire) : jsonIn(wire)?.value
  if (body === undefined || (data !== undefined && isObject(body) && !Object.hasOwn(body, data.field)))
    return undefined
  const text = (what: 'type' | 'id' | 'source' | 'key' | 'correlationId' | 'causationId') =>
    textOf(valueIn(places[what], body, wire), what)
  const type = text('type')
  if (type === undefined && attributesIn(wire.headers).type === undefined) return undefined
  const version = valueIn(places.version, body, wire)
  return {
    data: data === undefined ? body : fieldAt(data.field, body),
    type: type === undefined ? undefined : names.ours(type),
    id: text('id'),
    source: text('source'),
    key: text('key'),
    time: timeOf(valueIn(places.time, body, wire), 'time'),
    version: version === undefined ? undefined : Number(version),
    metadata: { correlationId: text('correlationId'), causationId: text('causationId') },
  }
}

function namesField(places: unknown): boolean {
  return Array.isArray(places) && places.some((place) => typeof place === 'object' && 'field' in place)
}
