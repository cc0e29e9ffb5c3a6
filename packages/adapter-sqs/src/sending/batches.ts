import { MessagingError, toMessagingError } from '@waybill/core/driver'
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
  /** Items of one key go into the same batch where they fit, in their order. */
  readonly keyOf?: ((item: Item) => string) | undefined
}

/** Carries items out in as few batches as the service allows. Result i belongs to item i; it never rejects. */
export async function inBatches<Item>(
  items: readonly Item[],
  { what, call, size, keyOf }: BatchOptions<Item>,
): Promise<ItemResult[]> {
  const results: ItemResult[] = new Array(items.length).fill(undefined)
  const placed = items.map((item, index) => ({ index, item }))
  const batches = split(
    keyOf === undefined ? placed : keysTogether(placed, keyOf),
    size,
    (index, bytes, most) => {
      const message = `${what}: the message has ${bytes} bytes on the wire, ${most} are allowed`
      results[index] = { error: new MessagingError('too-large', message, { fate: 'not-sent' }) }
    },
  )
  const queue = batches.values()
  const work = async () => {
    for (const batch of queue) await run(batch, what, call, results)
  }
  await Promise.all(Array.from({ length: Math.min(batches.length, mostCalls) }, work))
  return results
}

interface Placed<Item> {
  readonly index: number
  readonly item: Item
}

function keysTogether<Item>(placed: readonly Placed<Item>[], keyOf: (item: Item) => string): Placed<Item>[] {
  const byKey = new Map<string, Placed<Item>[]>()
  for (const each of placed) {
    const key = keyOf(each.item)
    const same = byKey.get(key)
    if (same === undefined) byKey.set(key, [each])
    else same.push(each)
  }
  return [...byKey.values()].flat()
}

function split<Item>(
  placed: readonly Placed<Item>[],
  size: BatchOptions<Item>['size'],
  refuse: (index: number, bytes: number, most: number) => void,
): Placed<Item>[][] {
  const batches: Placed<Item>[][] = []
  let room = 0
  let current: Placed<Item>[] = []
  for (const each of placed) {
    const bytes = size?.of(each.item) ?? 0
    const most = size?.most ?? 0
    if (bytes > most) {
      refuse(each.index, bytes, most)
      continue
    }
    if (current.length === 0 || current.length === mostEntries || bytes > room) {
      current = []
      batches.push(current)
      room = most
    }
    current.push(each)
    room -= bytes
  }
  return batches
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

function unanswered(what: string): MessagingError {
  return new MessagingError('failed', `${what}: the service did not say what became of the entry`, {
    retryable: true,
    fate: 'unknown',
  })
}
