import { z } from 'zod'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { Codec } from '../messages/codec.ts'
import { isObject, jsonData, jsonType, objectIn, textOf, toJson } from './json-body.ts'
import { TypeNames } from './type-names.ts'

export interface NestEventsOptions {
  /** NestJS's patterns, by Waybill's types: `{ 'order.placed': 'order_placed' }`. Others stay as they are. */
  readonly types?: Readonly<Record<string, string>>
}

const optionsSchema = lazily(() =>
  z.strictObject({ types: z.record(z.string(), z.string().min(1)).default({}) }),
)

/**
 * What NestJS microservices send and expect: `{ pattern, data }`, both ways, so that a service can move over piece by piece
 * while old and new share a queue. The type is the pattern; a pattern that is an object is its JSON with sorted keys, as
 * NestJS routes it. The `id` of a request becomes the message's id; nobody answers it.
 *
 * ```ts
 * const orders = defineTopic('orders', { codec: nestEvents() })
 * ```
 *
 * @throws {ConfigurationError} when the options are wrong.
 */
export function nestEvents(options: NestEventsOptions = {}): Codec {
  const names = new TypeNames(parseOptions(optionsSchema(), options, 'nestEvents options').types)
  return {
    name: 'nestEvents',
    encode: ({ type, data }) => ({
      body: toJson({ pattern: patternOf(names.theirs(type)), data: jsonData(data) }),
      contentType: jsonType,
    }),
    decode: (wire) => {
      const packet = objectIn(wire)
      if (packet === undefined || !Object.hasOwn(packet, 'pattern')) return undefined
      const { pattern, data, id } = packet
      const others = Object.keys(packet).filter((name) => !['pattern', 'data', 'id'].includes(name))
      // A pattern among other fields is a field of somebody's data.
      if (others.length > 0) return undefined
      if (!isObject(pattern) && typeof pattern !== 'string' && typeof pattern !== 'number') return undefined
      // Some transports have the JSON of an object.
      const known = typeof pattern === 'string' ? patternOf(pattern) : pattern
      const route = isObject(known) ? routeOf(known) : textOf(pattern, 'pattern')
      return route === undefined ? undefined : { type: names.ours(route), data, id: textOf(id, 'id') }
    },
  }
}

function routeOf(pattern: unknown): string {
  if (!isObject(pattern)) return typeof pattern === 'string' ? JSON.stringify(pattern) : String(pattern)
  const fields = Object.keys(pattern)
    .sort((one, other) => one.localeCompare(other))
    .map((name) => `${JSON.stringify(name)}:${routeOf(pattern[name])}`)
  return `{${fields.join(',')}}`
}

/** A type that is the route of an object stands for that object. */
function patternOf(type: string): unknown {
  if (!type.startsWith('{')) return type
  try {
    return JSON.parse(type)
  } catch {
    return type
  }
}
