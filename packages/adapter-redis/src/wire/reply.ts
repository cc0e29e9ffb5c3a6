/** What the broker answers, read without trust: a reply that is not of the expected shape reads as empty. */

export function asArray(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : []
}

export function asText(reply: unknown): string {
  // Ids and names are ASCII; latin1 is the fastest way there.
  if (Buffer.isBuffer(reply)) return reply.toString('latin1')
  return reply === null || reply === undefined ? '' : String(reply)
}

export function asUtf8(reply: unknown): string {
  return Buffer.isBuffer(reply) ? reply.toString('utf8') : asText(reply)
}

export function asNumber(reply: unknown): number {
  return typeof reply === 'number' ? reply : Number(asText(reply))
}

/** Of the answer to TIME, seconds and microseconds: milliseconds since 1970. */
export function asTime(reply: unknown): number {
  const [seconds, microseconds] = asArray(reply)
  return asNumber(seconds) * 1000 + asNumber(microseconds) / 1000
}

/** A figure the broker may not tell (a nil reply). */
export function asFigure(reply: unknown): number | undefined {
  return reply === null || reply === undefined ? undefined : asNumber(reply)
}

/** Names and values in turn, as Redis gives maps. */
export function asRecord(reply: unknown): Readonly<Record<string, unknown>> {
  const flat = asArray(reply)
  const record: Record<string, unknown> = {}
  for (let index = 0; index + 1 < flat.length; index += 2) record[asText(flat[index])] = flat[index + 1]
  return record
}

export type Fields = Readonly<Record<string, unknown>>

/** An object of JSON. */
export function asFields(value: unknown): Fields {
  return isFields(value) ? value : {}
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
