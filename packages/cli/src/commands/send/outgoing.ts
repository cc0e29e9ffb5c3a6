import type { SendOptions } from '@waybill/core'
import { z } from 'zod'

/** One message to be sent, before it is looked up what its type is. */
export interface Outgoing {
  readonly type: string | undefined
  /** Of the data's shape. */
  readonly version: number | undefined
  readonly data: unknown
  readonly options: SendOptions
}

/** What the options of the command say of every message. */
export interface Defaults {
  readonly type?: string | undefined
  readonly id?: string | undefined
  readonly key?: string | undefined
  readonly keyField?: string | undefined
  readonly delay?: string | undefined
  readonly priority?: number | undefined
  readonly expiresIn?: string | undefined
}

// A message that `tail` printed can be sent as it is: the time at which it was sent is taken, and left out.
const envelopeSchema = z.strictObject({
  data: z.unknown(),
  type: z.string().optional(),
  id: z.string().optional(),
  key: z.string().nullish(),
  delay: z.union([z.string(), z.number()]).optional(),
  priority: z.number().optional(),
  expiresIn: z.union([z.string(), z.number()]).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  version: z.int().min(1).optional(),
  timestamp: z.string().optional(),
  expiresAt: z.string().nullish(),
})

/** The names in a message's metadata that are options of their own. */
const ownOptions = ['correlationId', 'causationId', 'traceparent', 'tracestate'] as const

/**
 * One line of input: the data alone, or with `isEnvelope` an object that holds it.
 *
 * @throws {Error} saying what is wrong with it.
 */
export function parseOutgoing(text: string, defaults: Defaults, isEnvelope: boolean): Outgoing {
  const value = parseJson(text)
  if (!isEnvelope)
    return { type: defaults.type, version: undefined, data: value, options: optionsOf(defaults, value, {}) }
  const parsed = envelopeSchema.safeParse(value)
  if (!parsed.success || !('data' in parsed.data)) {
    const issues = parsed.success ? ['data: it is missing'] : parsed.error.issues.map(toText)
    throw new Error(`It is no envelope: ${issues.join('; ')}`)
  }
  const { data, type, version, ...own } = parsed.data
  return { type: type ?? defaults.type, version, data, options: optionsOf(defaults, data, own) }
}

function toText({ path, message }: z.core.$ZodIssue): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`It is no JSON: ${error instanceof Error ? error.message : error}`)
  }
}

function optionsOf(
  defaults: Defaults,
  data: unknown,
  own: Omit<z.output<typeof envelopeSchema>, 'data' | 'type' | 'version'>,
): SendOptions {
  const all: Record<string, unknown> = {
    id: own.id ?? defaults.id,
    key: own.key ?? defaults.key ?? fieldOf(data, defaults.keyField),
    delay: own.delay ?? defaults.delay,
    priority: own.priority ?? defaults.priority,
    expiresIn: own.expiresIn ?? remaining(own.expiresAt) ?? defaults.expiresIn,
  }
  const { source: _, ...metadata } = own.metadata ?? {}
  for (const name of ownOptions) {
    all[name] = metadata[name]
    delete metadata[name]
  }
  if (Object.keys(metadata).length > 0) all.metadata = metadata
  // The bus checks them, and says what is wrong with each.
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** What is left of a message's time, in milliseconds. */
function remaining(expiresAt: string | null | undefined): number | undefined {
  if (expiresAt === undefined || expiresAt === null) return undefined
  const left = Date.parse(expiresAt) - Date.now()
  if (left > 0) return left
  throw new Error(`It has expired, or expiresAt is no time: ${expiresAt}`)
}

/** The field of the data that a dotted path leads to, as text. */
function fieldOf(data: unknown, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  let value: unknown = data
  for (const name of path.split('.')) {
    value = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
  }
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  throw new Error(`The data has no text or number at "${path}" to be its key`)
}
