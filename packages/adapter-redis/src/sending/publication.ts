import type { MessagingError, OutboundMessage } from '@waybill/core/driver'
import type { RedisMirror } from '../options.ts'
import { chunksOfBytes } from '../wire/chunks.ts'
import {
  type Argument,
  extraFields,
  fromErrorReply,
  lineOf,
  type TopicKeys,
  toBuffer,
} from '../wire/messages.ts'
import { asArray, asNumber, asUtf8 } from '../wire/reply.ts'

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
  readonly mirrorAttributes: RedisMirror
}

interface Item {
  readonly index: number
  readonly message: OutboundMessage
  readonly line: number
  /** Names and values, in turn, of the fields beyond content type and body. */
  readonly extras: readonly string[]
  readonly bytes: number
}

/** A batch for one topic as few calls, each message described as briefly as its neighbours allow. */
export function planPublications(
  batch: readonly OutboundMessage[],
  indices: readonly number[],
  settings: PublicationSettings,
): readonly Publication[] {
  const items: Item[] = []
  for (const index of indices) {
    const message = batch[index]
    if (message === undefined) continue
    const line = lineOf(message.topic, message.key, message.priority)
    const extras = extraFields(message, settings.mirrorAttributes)
    items.push({ index, message, line, extras, bytes: message.body.byteLength })
  }
  return chunksOfBytes(items).map((chunk) => toPublication(chunk, settings))
}

function toPublication(items: readonly Item[], { keys, deduplicationMs }: PublicationSettings): Publication {
  const streams: string[] = []
  const positions = new Map<number, number>()
  const args: Argument[] = [deduplicationMs]
  for (let first = 0; first < items.length; ) {
    const head = items[first]
    if (head === undefined) break
    let end = first + 1
    while (isAlike(head, items[end])) end += 1
    let position = positions.get(head.line)
    if (position === undefined) {
      position = streams.push(keys.streams[head.line] ?? '') - 1
      positions.set(head.line, position)
    }
    const { message, extras } = head
    args.push(
      position,
      head.line,
      Math.ceil(message.delayMs),
      message.contentType,
      end - first,
      extras.length / 2,
    )
    for (let at = 0; at < extras.length; at += 2) args.push(extras[at] ?? '')
    for (; first < end; first += 1) pushItem(args, items[first], deduplicationMs > 0)
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
    one.extras.length === other.extras.length &&
    one.extras[0] === other.extras[0]
  )
}

function pushItem(args: Argument[], item: Item | undefined, withId: boolean): void {
  if (item === undefined) return
  if (withId) args.push(item.message.id)
  args.push(toBuffer(item.message.body))
  for (let at = 1; at < item.extras.length; at += 2) args.push(item.extras[at] ?? '')
}

function toSingle(item: Item | undefined, keys: TopicKeys): readonly Argument[] | undefined {
  if (item === undefined || item.message.delayMs > 0) return undefined
  const { message, line, extras } = item
  const fields = ['content-type', message.contentType, 'body', toBuffer(message.body), ...extras]
  return [keys.streams[line] ?? '', 'NOMKSTREAM', '*', ...fields]
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
