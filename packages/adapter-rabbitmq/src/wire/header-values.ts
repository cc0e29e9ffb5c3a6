import { isUtf8 } from 'node:buffer'

/**
 * A header of a foreign sender as text, as CloudEvents writes its types (CloudEvents 1.0.2, "Type System"); undefined for
 * null, which means that there is none.
 */
export function headerText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return undefined
  if (Buffer.isBuffer(value)) return value.toString(isUtf8(value) ? 'utf8' : 'base64')
  if (typeof value !== 'object') return String(value)
  return isTyped(value) ? typedText(value) : JSON.stringify(value)
}

/** How amqplib tells the types of a table that JavaScript has none for. */
interface Typed {
  readonly '!': string
  readonly value: unknown
}

function isTyped(value: object): value is Typed {
  return '!' in value && typeof value['!'] === 'string' && 'value' in value
}

function typedText({ '!': type, value }: Typed): string | undefined {
  if (type === 'timestamp' && typeof value === 'number') return timeText(value)
  if (type === 'decimal' && typeof value === 'object' && value !== null) {
    const { digits, places } = { digits: 0, places: 0, ...value }
    return (digits / 10 ** places).toFixed(places)
  }
  return headerText(value)
}

function timeText(value: number): string {
  const time = new Date(toMilliseconds(value))
  return Number.isNaN(time.getTime()) ? String(value) : time.toISOString()
}

/**
 * AMQP's timestamps are in seconds (AMQP 0-9-1 specification, 4.2.5.4); some senders give milliseconds, which as seconds
 * would be in the year 5138 or later.
 */
export function toMilliseconds(timestamp: number): number {
  return timestamp < 1e11 ? timestamp * 1000 : timestamp
}
