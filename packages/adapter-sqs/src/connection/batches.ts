import { MessagingError, toMessagingError } from '@waybill/core/driver'
import { inChunks } from '@waybill/core/driver-kit'
import { type EntryFailure, toEntryError } from '../errors.ts'

/** Entries of a batch (Amazon SQS API Reference, SendMessageBatch; Amazon SNS API Reference, PublishBatch). */
const mostEntries = 10
/** A burst opens no more connections than this; further batches wait for one of them. */
const mostCalls = 20

/** Why an item of a batch failed; undefined where it did not. */
export type ItemResult = { readonly error: MessagingError; readonly failure?: EntryFailure } | undefined

/** What the batch actions of both services answer. */
export interface BatchAnswer {
  readonly Successful?: readonly { readonly Id?: string | undefined }[] | undefined
  readonly Failed?: readonly (EntryFailure & { readonly Id?: string | undefined })[] | undefined
}

export interface BatchOptions<Item> {
  /** For people: `Sending to queue orders_billing`. */
  readonly what: string
  /** Carries one batch out; the entry of an item has its place in the batch as id. */
  readonly call: (batch: readonly Item[]) => Promise<BatchAnswer>
  /** Where the size of an item and of a batch is limited. */
  readonly size?: { readonly of: (item: Item) => number; readonly most: number }
}

interface Placed<Item> {
  readonly index: number
  readonly item: Item
}

/** Carries items out in as few batches as the service allows. Result i belongs to item i; it never rejects. */
export async function inBatches<Item>(
  items: readonly Item[],
  { what, call, size }: BatchOptions<Item>,
): Promise<ItemResult[]> {
  const results: ItemResult[] = new Array(items.length).fill(undefined)
  const fitting: Placed<Item>[] = []
  for (const [index, item] of items.entries()) {
    const bytes = size?.of(item) ?? 0
    if (size === undefined || bytes <= size.most) fitting.push({ index, item })
    else results[index] = { error: tooLarge(what, bytes, size.most) }
  }
  const chunks = inChunks(fitting, {
    maxItems: mostEntries,
    ...(size !== undefined && { maxBytes: size.most, bytesOf: ({ item }) => size.of(item) }),
  })
  const waiting = chunks.values()
  const work = async () => {
    for (const batch of waiting) await run(batch, what, call, results)
  }
  await Promise.all(Array.from({ length: Math.min(chunks.length, mostCalls) }, work))
  return results
}

async function run<Item>(
  batch: readonly Placed<Item>[],
  what: string,
  call: BatchOptions<Item>['call'],
  results: ItemResult[],
): Promise<void> {
  try {
    const { Successful = [], Failed = [] } = await call(batch.map(({ item }) => item))
    if (Failed.length === 0 && Successful.length === batch.length) return
    const done = new Set(Successful.map(({ Id }) => Id))
    batch.forEach(({ index }, place) => {
      if (done.has(String(place))) return
      const failure = Failed.find(({ Id }) => Id === String(place))
      results[index] =
        failure === undefined ? { error: unanswered(what) } : { error: toEntryError(failure, what), failure }
    })
  } catch (thrown) {
    const error = toMessagingError(thrown, what, { fate: 'unknown' })
    for (const { index } of batch) results[index] = { error }
  }
}

function tooLarge(what: string, bytes: number, most: number): MessagingError {
  const message = `${what}: the message has ${bytes} bytes on the wire, but at most ${most} are allowed`
  return new MessagingError('too-large', message, { fate: 'not-sent' })
}

function unanswered(what: string): MessagingError {
  return new MessagingError('failed', `${what}: the service returned no result for the entry`, {
    retryable: true,
    fate: 'unknown',
  })
}
