import { z } from 'zod'
import { lazily } from '../lib/validation.ts'
import type { WireMessage } from '../messages/codec.ts'
import { isObject, type JsonObject } from './json-body.ts'

/**
 * Where a message says something about itself: in a field of its body (`'id'`, or nested, `'meta.id'`), in a header (whatever
 * its case), in AMQP's routing key, or nowhere, because it is always the same.
 */
export type Place =
  | { readonly field: string }
  | { readonly header: string }
  | { readonly fixed: string }
  | 'routing-key'

/** Several are tried in this order when reading; the first that is a field or a header is written. */
export type Places = Place | readonly Place[]

// Core writes these itself.
const ofCore = /^(?:waybill-|ce[-_]|cloudevents[:_]|content-type$)/i

const unsafe = /(?:^|\.)(?:__proto__|constructor|prototype)(?:\.|$)/

const placeSchema = lazily(() =>
  z.union(
    [
      z.literal('routing-key'),
      z.strictObject({
        field: z
          .string()
          .regex(/^[^.]+(?:\.[^.]+)*$/)
          .refine((path) => !unsafe.test(path)),
      }),
      z.strictObject({
        header: z
          .string()
          .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/)
          .refine((name) => !ofCore.test(name)),
      }),
      z.strictObject({ fixed: z.string().min(1) }),
    ],
    "expected { field: 'a.b' }, { header: 'X-Name' }, { fixed: 'text' } or 'routing-key'",
  ),
)

export const placesSchema = lazily(() =>
  z.union([placeSchema().transform((place) => [place]), z.array(placeSchema()).min(1)], {
    error:
      "expected { field: 'a.b' }, { header: 'X-Name' }, { fixed: 'text' } or 'routing-key', or an array of them",
  }),
)

/** The value in the first of the places that has one. */
export function valueIn(places: readonly Place[] | undefined, body: unknown, wire: WireMessage): unknown {
  for (const place of places ?? []) {
    const value = valueAt(place, body, wire)
    if (value !== undefined && value !== null && value !== '') return value
  }
  return undefined
}

function valueAt(place: Place, body: unknown, { headers, subject }: WireMessage): unknown {
  if (place === 'routing-key') return subject
  if ('fixed' in place) return place.fixed
  if ('field' in place) return fieldAt(place.field, body)
  const wanted = place.header.toLowerCase()
  const name = Object.keys(headers).find((each) => each.toLowerCase() === wanted)
  return name === undefined ? undefined : headers[name]
}

/** A field of an object by its dotted path; undefined where there is none. */
export function fieldAt(path: string, body: unknown): unknown {
  let value = body
  for (const name of path.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return value
}

/** The object with the field; its own, if `agrees` with what it has there already. */
export function withField(
  body: JsonObject,
  path: string,
  value: unknown,
  agrees = (present: unknown) => String(present) === String(value),
): JsonObject {
  const [name = '', ...rest] = path.split('.')
  const present = Object.hasOwn(body, name) ? body[name] : undefined
  if (rest.length > 0) {
    const inner = asWritten(present ?? {})
    if (!isObject(inner)) throw new Error(`the field ${name} of the data is no object`)
    return { ...body, [name]: withField(inner, rest.join('.'), value, agrees) }
  }
  if (present === undefined) return { ...body, [name]: value }
  if (agrees(present)) return body
  throw new Error(
    `the field ${name} of the data is ${JSON.stringify(present)}, but the codec writes ${JSON.stringify(value)} there`,
  )
}

/** What a `toJSON` gives is what travels. */
export function asWritten(value: unknown): unknown {
  const isOwn = typeof value === 'object' && value !== null && 'toJSON' in value
  return isOwn && typeof value.toJSON === 'function' ? value.toJSON('') : value
}
