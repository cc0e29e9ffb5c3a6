import { crc32 } from 'node:zlib'
import {
  headerNames,
  MessagingError,
  type OutboundMessage,
  type TopicSpec,
  toError,
} from '@waybill/core/driver'
import type { RedisMirror } from '../options.ts'

// ---------------------------------------------------------------------------------------------------------------
// Names

/** The two levels that priorities are merged into: the streams of an unordered topic, most urgent first. */
const levels = ['stream:high', 'stream'] as const
/** The index of the level that messages without priority take. */
const normalLevel = 1
/** Priorities from here on are high; the scale is 0 to 9 (`OutboundMessage.priority`). */
const firstHighPriority = 5

/** The keys of a topic. The braces are its hash tag: a cluster keeps them on one node, so that scripts may use them all. */
export interface TopicKeys {
  readonly base: string
  /** A hash: what the topic was created as, and a counter. */
  readonly topic: string
  /** A stream for each level (unordered) or partition (ordered); "line" is either's index. */
  readonly streams: readonly string[]
  /** A sorted set for each stream: ids of entries by how many there had been by then. */
  readonly marks: readonly string[]
  /** A sorted set of sends that wait for their time. */
  readonly delayed: string
  /** A sorted set of ids sent within the deduplication window. */
  readonly sent: string
  /** There while housekeeping need not be done again. */
  readonly tidied: string
  /** The channel of a topic of notices. */
  readonly notices: string
}

/** The keys of a group of a topic. */
export interface GroupKeys {
  /** The group's own streams, one a line: retries, releases and replays, which no other group gets. */
  readonly own: readonly string[]
  /**
   * All streams the group reads, in the order in which it reads them: own and topic's of line 0, of line 1, and so on.
   * So source `2 * line` is the own stream of a line, and `2 * line + 1` the topic's.
   */
  readonly sources: readonly string[]
  /** A sorted set of retries that wait for their time. */
  readonly delayed: string
  /** A stream. */
  readonly dead: string
  /** A hash: dead letter id to entry id. */
  readonly deadIndex: string
  /** Ordered topics: a sorted set of members by when their lease ends, and a hash of who owns each partition. */
  readonly members: string
  readonly owners: string
  readonly tidied: string
  /** There while nobody need look again for consumers that are gone. */
  readonly watched: string
}

export function topicKeys(prefix: string, topic: TopicSpec): TopicKeys {
  const base = `${prefix}:{${topic.name}}`
  const lines = topic.ordered
    ? Array.from({ length: topic.partitions }, (_, partition) => `stream:${partition}`)
    : levels
  return {
    base,
    topic: `${base}:topic`,
    streams: lines.map((line) => `${base}:${line}`),
    marks: lines.map((line) => `${base}:${line}:marks`),
    delayed: `${base}:delayed`,
    sent: `${base}:sent`,
    tidied: `${base}:tidied`,
    notices: `${base}:notices`,
  }
}

export function groupKeys(topic: TopicKeys, group: string): GroupKeys {
  const base = `${topic.base}:group:${group}`
  const own = topic.streams.map((stream) => `${base}${stream.slice(topic.base.length)}`)
  return {
    own,
    sources: topic.streams.flatMap((stream, line) => [own[line] ?? '', stream]),
    delayed: `${base}:delayed`,
    dead: `${base}:dead`,
    deadIndex: `${base}:dead:index`,
    members: `${base}:members`,
    owners: `${base}:owners`,
    tidied: `${base}:tidied`,
    watched: `${base}:watched`,
  }
}

/** The line a message of a topic takes. Foreign producers reach the same partition with CRC-32 (IEEE) of the key. */
export function lineOf(topic: TopicSpec, key: string | undefined, priority: number | undefined): number {
  if (topic.ordered) return crc32(key ?? '') % topic.partitions
  return priority !== undefined && priority >= firstHighPriority ? 0 : normalLevel
}

/** The line that a copy with these headers takes on an unordered topic. */
export function lineOfHeaders(headers: Readonly<Record<string, string>>): number {
  const priority = headers[headerNames.priority]
  return priority !== undefined && Number(priority) >= firstHighPriority ? 0 : normalLevel
}

/**
 * A consumer's name, which is its connection's name too. It tells others the server's id of that connection, so that they
 * can see whether it is still there, and the consumer's lease, for when they cannot.
 */
export function consumerName(
  instance: string,
  number: number,
  connection: number | undefined,
  leaseMs: number,
): string {
  return `${instance}-${number}${connection === undefined ? '' : `#${connection}`}~${leaseMs}`
}

/** The connection of a consumer; undefined when its name tells none. */
export function connectionOf(consumer: string): number | undefined {
  const id = /#(\d+)~\d+$/.exec(consumer)?.[1]
  return id === undefined ? undefined : Number(id)
}

/** The name under which the owner of a partition reads it; the next owner inherits what is pending under it. */
export const partitionReader = 'owner'

/** The connections named in a reply to CLIENT LIST (Redis documentation, "CLIENT LIST"). */
export function connectionNames(list: string): ReadonlySet<string> {
  return new Set(list.split('\n').map((line) => / name=(\S*)/.exec(line)?.[1] ?? ''))
}

// The number of an entry within its millisecond has 64 bits (Redis documentation, "Redis Streams", entry IDs).
const highestNumber = 2n ** 64n - 1n

function idParts(id: string): readonly [time: bigint, number: bigint] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(id)
  return [BigInt(match?.[1] ?? 0), BigInt(match?.[2] ?? 0)]
}

/** The id of an entry that can come next after this one. */
export function idAfter(id: string): string {
  const [time, number] = idParts(id)
  return number < highestNumber ? `${time}-${number + 1n}` : `${time + 1n}-0`
}

export function idBefore(id: string): string {
  const [time, number] = idParts(id)
  if (number > 0n) return `${time}-${number - 1n}`
  return time > 0n ? `${time - 1n}-${highestNumber}` : '0-0'
}

export function compareIds(one: string, other: string): number {
  const [time, number] = idParts(one)
  const [otherTime, otherNumber] = idParts(other)
  return Number(time - otherTime) || Math.sign(Number(number - otherNumber))
}

// ---------------------------------------------------------------------------------------------------------------
// Messages

/** The fields of a stream entry. What else a foreign producer puts there is taken for headers. */
const fieldNames = {
  contentType: 'content-type',
  body: 'body',
  /** A JSON object, text to text; absent when there are none. */
  headers: 'headers',
  /** CloudEvents attributes once more, a JSON object, for whoever reads the stream; we read them in the body. */
  attributes: 'ce',
  /** How often earlier copies were handed out: a release makes a new copy, whose own count starts again. */
  deliveries: 'deliveries',
  /** Dead letters: the line the copy came from, to which a replay goes back. */
  line: 'line',
} as const

/** The content type of all messages of our own (CloudEvents JSON format 1.0.2, section 3); scripts leave it out of replies. */
export const usualContentType = 'application/cloudevents+json'

export type Argument = string | number | Buffer

/** An entry's fields and values, in turn. */
export type Fields = readonly (string | Buffer)[]

export interface Content {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
}

export interface Entry extends Content {
  readonly earlierDeliveries: number
  readonly line: number | undefined
}

export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The fields of a new message beyond content type and body: names and values, in turn. */
export function extraFields(
  { attributes, headers }: OutboundMessage,
  mirror: RedisMirror,
): readonly string[] {
  const text = encodeHeaders(headers)
  const rest = text === '' ? noFields : [fieldNames.headers, text]
  if (mirror === 'none') return rest
  const { id, source, type, specversion } = attributes
  const mirrored = mirror === 'all' ? attributes : { id, source, type, specversion }
  return [fieldNames.attributes, JSON.stringify(mirrored), ...rest]
}

const noFields: readonly string[] = []

/** Headers as one text; empty when there are none. */
export function encodeHeaders(headers: Readonly<Record<string, string>>): string {
  for (const _ in headers) return JSON.stringify(headers)
  return ''
}

export interface EntryNotes {
  readonly earlierDeliveries?: number
  readonly line?: number
}

export function encodeFields({ body, contentType, headers }: Content, notes: EntryNotes = {}): Fields {
  const { earlierDeliveries = 0, line } = notes
  const fields: (string | Buffer)[] = []
  if (contentType !== undefined) fields.push(fieldNames.contentType, contentType)
  fields.push(fieldNames.body, toBuffer(body))
  const text = encodeHeaders(headers)
  if (text !== '') fields.push(fieldNames.headers, text)
  if (earlierDeliveries > 0) fields.push(fieldNames.deliveries, String(earlierDeliveries))
  if (line !== undefined) fields.push(fieldNames.line, String(line))
  return fields
}

export const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

export function decodeHeaders(text: string): Readonly<Record<string, string>> {
  if (text === '') return noHeaders
  const headers = parseTexts(text)
  // A foreign field of that name is handed on as it is.
  return headers ?? { [fieldNames.headers]: text }
}

function parseTexts(text: string): Record<string, string> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
    return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, String(value)]))
  } catch {
    return undefined
  }
}

/** Any entry, of our own or foreign. */
export function decodeFields(fields: readonly unknown[]): Entry {
  let body: Uint8Array = Buffer.alloc(0)
  let contentType: string | undefined
  let earlierDeliveries = 0
  let line: number | undefined
  let headers: Record<string, string> = {}
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = String(fields[index])
    const value = fields[index + 1]
    if (name === fieldNames.body) body = value instanceof Uint8Array ? value : Buffer.from(String(value))
    else if (name === fieldNames.contentType) contentType = String(value)
    else if (name === fieldNames.deliveries) earlierDeliveries = Number(value) || 0
    else if (name === fieldNames.line) line = Number(value) || 0
    else if (name === fieldNames.headers) headers = { ...headers, ...decodeHeaders(String(value)) }
    else if (name !== fieldNames.attributes || contentType !== usualContentType) headers[name] = String(value)
  }
  return { body, contentType, headers, earlierDeliveries, line }
}

// ---------------------------------------------------------------------------------------------------------------
// Errors

type Row = readonly [pattern: RegExp, code: MessagingError['code'], retryable: boolean]

/** Replies begin with a code (Redis documentation, "Redis serialization protocol", simple errors). The first match counts. */
const replies: readonly Row[] = [
  [/^(NOAUTH|WRONGPASS|NOPERM|DENIED)\b|invalid password/, 'access-denied', false],
  [/^(OOM|MISCONF|NOREPLICAS)\b/, 'rejected', true],
  [/^(LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|UNBLOCKED)\b/, 'disconnected', true],
  [/max number of clients/, 'connection-failed', true],
  [/^BUSY\b/, 'throttled', true],
  [/^(NOGROUP|NOTOPIC)\b/, 'topology-missing', true],
  [/^WRONGTYPE\b/, 'topology-mismatch', false],
]

/** Whether the reply means that this connection leads to a server that is no master, or not ready. */
export function needsNewConnection(error: unknown): boolean {
  return /^(READONLY|LOADING|MASTERDOWN)\b/.test(toError(error).message)
}

// ioredis' words for a command that it never wrote to the socket.
const neverWritten = "Stream isn't writeable"

/** An error reply of the server, as one of ours. */
export function fromErrorReply(reply: string, what: string, cause?: Error): MessagingError {
  const [, code, retryable] = replies.find(([pattern]) => pattern.test(reply)) ?? [undefined, 'failed', false]
  const options = { retryable, fate: 'not-sent' } as const
  return new MessagingError(code, `${what}: ${reply}`, cause === undefined ? options : { ...options, cause })
}

/** Whatever ioredis rejects with, as one of ours. `cause` is the connection's own error, which ioredis tells elsewhere. */
export function toRedisError(thrown: unknown, what: string, cause?: Error): MessagingError {
  if (MessagingError.is(thrown)) return thrown
  const error = toError(thrown)
  if (error.name === 'ReplyError') return fromErrorReply(error.message, what, error)
  // Of a connection that the server refused, ioredis tells no more than that it was closed.
  if (cause?.name === 'ReplyError') return fromErrorReply(cause.message, what, cause)
  const because = cause === undefined || cause.message === error.message ? '' : ` (${cause.message})`
  return new MessagingError('disconnected', `${what}: ${error.message}${because}`, {
    retryable: true,
    cause: cause ?? error,
    fate: error.message.startsWith(neverWritten) ? 'not-sent' : 'unknown',
  })
}
