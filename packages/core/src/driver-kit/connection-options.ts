import type { z } from 'zod'
import type { BrokerUrl } from '../driver/broker-url.ts'
import { ConfigurationError, type Issue } from '../lib/errors.ts'
import { toIssues } from '../lib/validation.ts'

/** Turns the text of a query parameter into what the schema expects. Undefined means that it is used elsewhere. */
export type ReadParameter = (text: string) => unknown

/** A parameter of the URL's query: how to read it, and the option it stands for if that has another name. */
export type QueryParameter = ReadParameter | { readonly option: string; readonly read: ReadParameter }

/**
 * Reads a query parameter as text.
 *
 * @example
 * query: { clientId: asText }
 */
export const asText: ReadParameter = (text) => text

/**
 * Reads a query parameter as a number. Anything else stays text, for the schema to refuse.
 *
 * @example
 * query: { maxPending: asNumber, connection_timeout: { option: 'connectTimeout', read: asNumber } }
 */
export const asNumber: ReadParameter = (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text)

/**
 * Reads a query parameter as `true` or `false`. Anything else stays text, for the schema to refuse.
 *
 * @example
 * query: { cluster: asFlag }
 */
export const asFlag: ReadParameter = (text) => (text === 'true' ? true : text === 'false' ? false : text)

export interface ConnectionOptions<Schema extends z.ZodType> {
  /** The adapter's name, under which its native options are given. */
  readonly adapter: string
  readonly url: BrokerUrl
  /** `context.native`, unchecked. */
  readonly native: unknown
  /** A strict schema of all options, with their defaults. */
  readonly schema: Schema
  /** The parameters that the URL's query may have. */
  readonly query: Readonly<Record<string, QueryParameter>>
  /** Options from the rest of the URL (user, password, path). An undefined value counts as absent. */
  readonly fromUrl?: Readonly<Record<string, unknown>>
}

interface Given {
  readonly value: unknown
  /** Where it was written, for people: `url?region`. */
  readonly path: string
}

/**
 * URL and native options, merged under one schema. An option may be given in one place only.
 *
 * @example
 * const settings = parseConnectionOptions({
 *   adapter: 'nats',
 *   url,
 *   native: context.native,
 *   schema: z.strictObject({ user: z.string().optional(), maxPending: z.int().default(100) }),
 *   query: { maxPending: asNumber },
 *   fromUrl: { user: url.username },
 * })
 *
 * @throws {ConfigurationError} with every problem, each with its place: `url?maxPending`, `native.nats.user`.
 */
export function parseConnectionOptions<Schema extends z.ZodType>({
  adapter,
  url,
  native,
  schema,
  query,
  fromUrl = {},
}: ConnectionOptions<Schema>): z.output<Schema> {
  const at = `native.${adapter}`
  const issues: Issue[] = []
  const given = new Map<string, Given>()
  const give = (option: string, value: unknown, path: string) => {
    if (value === undefined) return
    const earlier = given.get(option)
    if (earlier === undefined) given.set(option, { value, path })
    else issues.push({ path, message: `also given as ${earlier.path}; give it once` })
  }

  for (const [option, value] of Object.entries(fromUrl)) give(option, value, 'url')
  for (const [name, text] of Object.entries(url.query)) {
    const parameter = Object.hasOwn(query, name) ? query[name] : undefined
    const path = `url?${name}`
    if (parameter === undefined) issues.push({ path, message: unknownParameter(Object.keys(query)) })
    else if (typeof parameter === 'function') give(name, parameter(text), path)
    else give(parameter.option, parameter.read(text), path)
  }
  if (native === undefined || isOptionsObject(native)) {
    for (const [option, value] of Object.entries(native ?? {})) give(option, value, `${at}.${option}`)
  } else issues.push({ path: at, message: 'expected an object of options' })

  const parsed = schema.safeParse(
    Object.fromEntries([...given].map(([option, { value }]) => [option, value])),
  )
  if (!parsed.success) {
    for (const { path, message } of toIssues(parsed.error)) {
      const [option = '', ...rest] = path.split('.')
      const place = given.get(option)?.path ?? (option === '' ? at : `${at}.${option}`)
      issues.push({ path: [place, ...rest].join('.'), message })
    }
  } else if (issues.length === 0) return parsed.data
  throw new ConfigurationError(`${adapter} options`, issues)
}

function unknownParameter(known: readonly string[]): string {
  return known.length === 0
    ? 'unknown; the query may have no parameters'
    : `unknown; the query may have ${known.join(', ')}`
}

function isOptionsObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
