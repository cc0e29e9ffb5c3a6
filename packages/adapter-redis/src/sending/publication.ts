import type { MessagingError, OutboundMessage } from '@waybill/core/driver'
import { inChunks } from '@waybill/core/driver-kit'
import { fromErrorReply } from '../errors.ts'
import type { RedisMirror } from '../options.ts'
import { bounds } from '../wire/bounds.ts'
import { type Answer, type Argument, type Call, listOf } from '../wire/call.ts'
import { type Fields, messageFields } from '../wire/entries.ts'
import { lineOf, type TopicKeys } from '../wire/names.ts'
import { asNumber, asText } from '../wire/reply.ts'

/** One call of the publish script, and the messages it carries by their index in the batch. */
export interface Publication {
  readonly call: Call
  readonly indices: readonly number[]
  /** The arguments of a plain XADD that does the same, where there is one, and the line it goes to. */
  readonly single: { readonly args: readonly Argument[]; readonly line: number } | undefined
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
  readonly fields: Fields
  readonly bytes: number
}

/** The messages of a batch that go to one topic, as few calls of bounded size. */
export function planPublications(
  batch: readonly OutboundMessage[],
  indices: readonly number[],
  settings: PublicationSettings,
): readonly Publication[] {
  const items = indices.flatMap((index): Item[] => {
    const message = batch[index]
    if (message === undefined) return []
    const fields = messageFields(message, settings.mirrorAttributes)
    return [{ index, message, fields, bytes: message.body.byteLength }]
  })
  return inChunks(items, bounds).map((chunk) => toPublication(chunk, settings))
}

function toPublication(items: readonly Item[], settings: PublicationSettings): Publication {
  const { topic, streams, delayed, delayedEntries, delayedIds, heldKeys, sent, wake } = settings.keys
  const window = settings.deduplicationMs
  return {
    call: {
      keys: { topic, streams, delayed, delayedEntries, delayedIds, heldKeys, sent, wake },
      args: {
        window,
        messages: items.map(({ message, fields }) => describe(message, fields.length, window)),
      },
      values: items.flatMap(({ fields }) => fields),
    },
    indices: items.map(({ index }) => index),
    single: window === 0 && items.length === 1 ? toSingle(items[0], streams) : undefined,
  }
}

/** What the script gets of a message. */
function describe(message: OutboundMessage, size: number, window: number): object {
  const { topic, key, id, attributes, priority } = message
  return {
    line: lineOf(topic, key, priority),
    delay: Math.ceil(message.delayMs),
    size,
    ...((topic.ordered || message.delayMs > 0) && { id }),
    ...(topic.ordered && { key: key ?? '' }),
    // The length keeps apart what only looks alike when put together.
    ...(window > 0 && { identity: `${attributes.source?.length ?? 0}:${attributes.source ?? ''}:${id}` }),
  }
}

/** On ordered topics the script looks whether a delayed message holds the key. */
function toSingle(item: Item | undefined, streams: readonly string[]): Publication['single'] {
  if (item === undefined || item.message.topic.ordered || item.message.delayMs > 0) return undefined
  const { topic, key, priority } = item.message
  const line = lineOf(topic, key, priority)
  return { args: [streams[line] ?? '', 'NOMKSTREAM', '*', ...item.fields], line }
}

/** What the script answered: which messages failed, by index in the batch, and why. */
export function failuresOf(
  { indices }: Publication,
  { fields }: Answer,
): readonly (readonly [number, MessagingError])[] {
  return listOf(fields.failures).flatMap((failure) => {
    const index = indices[asNumber(failure.index)]
    if (index === undefined) return []
    return [[index, fromErrorReply(asText(failure.error), 'Redis refused the message')] as const]
  })
}
