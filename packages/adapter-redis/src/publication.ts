import type { MessagingError, OutboundMessage } from '@waybill/core/driver'
import { asArray, asNumber, asUtf8 } from './reply.ts'
import { type Argument, fromErrorReply, headersText, lineOf, type TopicKeys, toBuffer } from './wire.ts'

/** The arguments of one call of the publish script, and the messages it carries by their index in the batch. */
export interface Publication {
  readonly keys: readonly string[]
  readonly args: readonly Argument[]
  readonly indices: readonly number[]
  /** The arguments of a plain XADD that does the same, where there is one. */
  readonly single: readonly Argument[] | undefined
}

export interface PublicationSettings {
  readonly keys: TopicKeys
  /** 0: no deduplication. */
  readonly deduplicationMs: number
  readonly mirrorAttributes: boolean
}

// A script holds up everybody else, so large batches go as several; a message of its own size goes alone.
const maxScriptBytes = 1024 * 1024

/** One message of a run: what differs from its neighbours. */
interface Item {
  readonly index: number
  readonly line: number
  readonly message: OutboundMessage
  readonly headers: string
}

/** A batch for one topic as few calls, each message described as briefly as its neighbours allow. */
export function planPublications(
  batch: readonly OutboundMessage[],
  indices: readonly number[],
  settings: PublicationSettings,
): readonly Publication[] {
  const publications: Publication[] = []
  let items: Item[] = []
  let bytes = 0
  for (const index of indices) {
    const message = batch[index]
    if (message === undefined) continue
    const headers = headersText(message, settings.mirrorAttributes)
    const size = message.body.byteLength + headers.length
    if (items.length > 0 && bytes + size > maxScriptBytes) {
      publications.push(toPublication(items, settings))
      items = []
      bytes = 0
    }
    items.push({ index, line: lineOf(message.topic, message.key, message.priority), message, headers })
    bytes += size
  }
  if (items.length > 0) publications.push(toPublication(items, settings))
  return publications
}

function toPublication(items: readonly Item[], { keys, deduplicationMs }: PublicationSettings): Publication {
  const streams: string[] = []
  const positions = new Map<number, number>()
  const args: Argument[] = [deduplicationMs]
  for (let first = 0; first < items.length; ) {
    const head = items[first]
    if (head === undefined) break
    let end = first + 1
    while (end < items.length && isAlike(head, items[end])) end += 1
    let position = positions.get(head.line)
    if (position === undefined) {
      position = streams.push(keys.streams[head.line] ?? '') - 1
      positions.set(head.line, position)
    }
    const width = head.headers === '' ? 1 : 2
    args.push(
      position,
      head.line,
      Math.ceil(head.message.delayMs),
      head.message.contentType,
      width,
      end - first,
    )
    for (const { message, headers } of items.slice(first, end)) {
      if (deduplicationMs > 0) args.push(message.id)
      args.push(toBuffer(message.body))
      if (width === 2) args.push(headers)
    }
    first = end
  }
  return {
    keys: [keys.topic, keys.delayed, keys.sent, ...streams],
    args,
    indices: items.map(({ index }) => index),
    single: deduplicationMs === 0 && items.length === 1 ? toSingle(items[0], keys) : undefined,
  }
}

function isAlike(one: Item, other: Item | undefined): boolean {
  return (
    other !== undefined &&
    one.line === other.line &&
    one.message.delayMs === other.message.delayMs &&
    one.message.contentType === other.message.contentType &&
    (one.headers === '') === (other.headers === '')
  )
}

function toSingle(item: Item | undefined, keys: TopicKeys): readonly Argument[] | undefined {
  if (item === undefined || item.message.delayMs > 0) return undefined
  const { message, line, headers } = item
  const args: Argument[] = [keys.streams[line] ?? '', 'NOMKSTREAM', '*']
  args.push('content-type', message.contentType, 'body', toBuffer(message.body))
  if (headers !== '') args.push('headers', headers)
  return args
}

/** What the script answered: which messages failed, by index in the batch, and why. */
export function failuresOf(
  { indices }: Publication,
  reply: unknown,
): readonly (readonly [number, MessagingError])[] {
  const failures: [number, MessagingError][] = []
  const flat = asArray(reply)
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const index = indices[asNumber(flat[at])]
    if (index !== undefined)
      failures.push([index, fromErrorReply(asUtf8(flat[at + 1]), 'Redis refused the message')])
  }
  return failures
}
