import { rememberLast } from '../lib/remember-last.ts'

/** A received event before its data is looked at. */
export interface Envelope {
  readonly attributes: Attributes
  /** Parsed JSON, text or bytes by content type; undefined when there is none. */
  readonly data: unknown
  /** Transport headers that are neither CloudEvents attributes nor ours. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * The context attributes of a CloudEvents 1.0 event that Waybill reads (CloudEvents 1.0.2, "Context Attributes"; the
 * extensions Partitioning, Distributed Tracing, Correlation, Expiry Time).
 */
export interface Attributes {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly time: Date | undefined
  readonly dataversion: number
  readonly partitionkey: string | undefined
  readonly expirytime: Date | undefined
  /** All of them as they came, under their names; what Waybill does not know is kept. */
  readonly all: Readonly<Record<string, unknown>>
}

const optionalTexts = ['datacontenttype', 'correlationid', 'causationid', 'traceparent', 'tracestate']

type Raw = Readonly<Record<string, unknown>>

/**
 * Reads the attributes tolerantly, or tells what is wrong with them. By hand: it is done for every message received, and
 * a schema made a tenth of the way of a message through core.
 */
export function readAttributes(all: Raw): Attributes | { readonly problems: readonly string[] } {
  const problems: string[] = []
  const version = all.specversion
  if (typeof version !== 'string' || !version.startsWith('1.')) problems.push('specversion: expected 1.0')
  for (const name of optionalTexts) optionalText(all, name, problems)
  const attributes = {
    id: text(all, 'id', problems),
    source: text(all, 'source', problems),
    type: text(all, 'type', problems),
    time: optionalTime(all, 'time', problems),
    dataversion: dataversion(all, problems),
    partitionkey: optionalText(all, 'partitionkey', problems),
    expirytime: optionalTime(all, 'expirytime', problems),
    all,
  }
  return problems.length === 0 ? attributes : { problems }
}

function text(all: Raw, name: string, problems: string[]): string {
  const value = all[name]
  if (typeof value === 'string' && value !== '') return value
  problems.push(`${name}: expected text`)
  return ''
}

/** JSON null means unset (CloudEvents JSON format 1.0.2, section 2.2), and so does a header without a value. */
function isUnset(value: unknown): value is undefined | null | '' {
  return value === undefined || value === null || value === ''
}

function optionalText(all: Raw, name: string, problems: string[]): string | undefined {
  const value = all[name]
  if (isUnset(value)) return undefined
  if (typeof value === 'string') return value
  problems.push(`${name}: expected text`)
  return undefined
}

const timeOf = rememberLast(Date.parse)

function optionalTime(all: Raw, name: string, problems: string[]): Date | undefined {
  const value = all[name]
  if (isUnset(value)) return undefined
  const time = typeof value === 'string' ? timeOf(value) : Number.NaN
  if (Number.isNaN(time)) problems.push(`${name}: expected an RFC 3339 date and time`)
  return new Date(time)
}

// An integer in JSON, text in a header.
function dataversion({ dataversion: value }: Raw, problems: string[]): number {
  if (isUnset(value)) return 1
  const version = typeof value === 'string' ? Number(value) : value
  if (typeof version === 'number' && Number.isInteger(version) && version >= 1) return version
  problems.push('dataversion: expected a positive whole number')
  return 1
}
