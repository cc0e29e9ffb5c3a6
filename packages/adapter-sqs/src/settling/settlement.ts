import { randomUUID } from 'node:crypto'
import { deadLetterIdOf, MessagingError, type Verdict } from '@waybill/core/driver'
import type { ItemResult } from '../connection/batches.ts'
import type { Queue } from '../connection/queue.ts'
import { isStaleReceipt } from '../errors.ts'
import { sendAll } from '../sending/sender.ts'
import type { SqsDelivery } from '../wire/delivery.ts'
import { type Outgoing, placeOf, splitDelay } from '../wire/messages.ts'
import { shortened, truncated } from './fitting.ts'

export interface OpenSettlement {
  readonly delivery: SqsDelivery
  readonly verdict: Verdict
}

/** The deliveries whose verdict could not be carried out, and why. */
export type Failures = ReadonlyMap<SqsDelivery, MessagingError>

export interface SettlementQueues {
  readonly queue: Queue
  readonly deadLetters: Queue
  readonly longestDelayMs: number
  readonly longestLeaseMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Carries verdicts out: acks are deletes, everything else is a copy followed by a delete. A message that only becomes
 * visible again could not carry its attempt, and its receive would count like a crash. On FIFO queues, where a copy would
 * lose its place, releases end the visibility timeout.
 */
export async function carryOut(
  settlements: readonly OpenSettlement[],
  queues: SettlementQueues,
): Promise<Failures> {
  const { queue, deadLetters, signal } = queues
  const acks: SqsDelivery[] = []
  const releases: SqsDelivery[] = []
  const retries: Copy[] = []
  const letters: Copy[] = []
  const failures: (readonly [SqsDelivery, MessagingError])[] = []
  for (const { delivery, verdict } of settlements) {
    if (delivery.isCopied || verdict.kind === 'ack') acks.push(delivery)
    else if (verdict.kind === 'release') releases.push(delivery)
    else if (verdict.kind === 'dead-letter') letters.push(letterOf(delivery, verdict.headers, deadLetters))
    else if (queue.isFifo) failures.push([delivery, notOnFifo])
    else retries.push(retryOf(delivery, verdict.headers, verdict.delayMs, queues))
  }
  const carriedOut = await Promise.all([
    remove(acks, queue, signal),
    giveBack(releases, queue),
    replace(retries, queue, queue),
    replace(letters, deadLetters, queue),
  ])
  return new Map([...failures, ...carriedOut.flatMap((each) => [...each])])
}

interface Copy {
  readonly delivery: SqsDelivery
  readonly outgoing: Outgoing
  /** What to do where no copy fits: hide the message itself for so many seconds. */
  readonly hideSeconds?: number
}

const notOnFifo = new MessagingError(
  'unsupported',
  'FIFO queues do not support delays of single messages, so they cannot retry by copy',
)

function retryOf(
  delivery: SqsDelivery,
  headers: Outgoing['headers'],
  delayMs: number,
  { queue, longestDelayMs, longestLeaseMs }: SettlementQueues,
): Copy {
  const { body, contentType, key } = delivery
  const { seconds, carriedMs } = splitDelay(delayMs, longestDelayMs)
  const outgoing = { body, contentType, headers, key, delayMs: carriedMs, delaySeconds: seconds }
  const hideSeconds = Math.floor(Math.min(Math.ceil(delayMs / 1000), longestLeaseMs / 1000 - 1))
  return { delivery, outgoing: shortened(outgoing, queue.mostBytes), hideSeconds }
}

function letterOf(delivery: SqsDelivery, headers: Outgoing['headers'], deadLetters: Queue): Copy {
  const { body, contentType, key } = delivery
  const id = deadLetterIdOf(headers) ?? randomUUID()
  // Each letter is a message group of its own: those of one group could only be looked at one after another.
  const fifo = deadLetters.isFifo ? placeOf(id, id) : undefined
  return { delivery, outgoing: truncated({ body, contentType, headers, key, fifo }, deadLetters.mostBytes) }
}

async function replace(copies: readonly Copy[], target: Queue, source: Queue): Promise<Failures> {
  if (copies.length === 0) return new Map()
  const results = await sendAll(
    target,
    copies.map(({ outgoing }) => outgoing),
  )
  const deliveries = copies.map(({ delivery }) => delivery)
  const tooLarge = copies.filter(
    ({ hideSeconds }, index) => hideSeconds !== undefined && results[index]?.error.code === 'too-large',
  )
  const hidden = new Set(tooLarge.map(({ delivery }) => delivery))
  const failures = new Map([...failuresOf(deliveries, results)].filter(([delivery]) => !hidden.has(delivery)))
  const copied = deliveries.filter((delivery) => !failures.has(delivery) && !hidden.has(delivery))
  for (const delivery of copied) delivery.isCopied = true
  return new Map([...failures, ...(await hide(tooLarge, source)), ...(await remove(copied, source))])
}

/**
 * A message of a foreign sender that fills all that SQS takes has no room for anything of ours. It waits where it is, without
 * its attempt counted; the queue's redrive policy ends it.
 */
async function hide(copies: readonly Copy[], source: Queue): Promise<Failures> {
  if (copies.length === 0) return new Map()
  const results = await source.hide(
    copies.map(({ delivery, hideSeconds = 0 }) => ({ receipt: delivery.receipt, seconds: hideSeconds })),
  )
  return failuresOf(
    copies.map(({ delivery }) => delivery),
    results,
  )
}

async function remove(
  deliveries: readonly SqsDelivery[],
  queue: Queue,
  signal?: AbortSignal,
): Promise<Failures> {
  const receipts = deliveries.map(({ receipt }) => receipt)
  return failuresOf(deliveries, await queue.delete(receipts, { signal }))
}

/**
 * Puts deliveries back into their queue, at once and without counting against them. What has a durable copy already is only deleted:
 * it would come twice.
 */
export async function giveBack(all: readonly SqsDelivery[], queue: Queue): Promise<Failures> {
  if (all.length === 0) return new Map()
  const copied = all.filter(({ isCopied }) => isCopied)
  const deliveries = all.filter(({ isCopied }) => !isCopied)
  const results = await Promise.all([remove(copied, queue), putBack(deliveries, queue)])
  return new Map(results.flatMap((each) => [...each]))
}

async function putBack(deliveries: readonly SqsDelivery[], queue: Queue): Promise<Failures> {
  if (deliveries.length === 0) return new Map()
  if (!queue.isFifo) {
    const copies = deliveries.map((delivery): Copy => {
      const { body, contentType, headers, key, past } = delivery
      return { delivery, outgoing: { body, contentType, headers, key, past }, hideSeconds: 0 }
    })
    return replace(copies, queue, queue)
  }
  // Last first: an earlier message of a key must not come back behind a later one.
  const lastFirst = deliveries.toReversed()
  return failuresOf(lastFirst, await queue.hide(lastFirst.map(({ receipt }) => ({ receipt, seconds: 0 }))))
}

/** An outdated receipt is not a failure: the message is no longer ours to settle. */
function failuresOf(deliveries: readonly SqsDelivery[], results: readonly ItemResult[]): Failures {
  return new Map(
    deliveries.flatMap((delivery, index) => {
      const result = results[index]
      if (result === undefined || (result.failure !== undefined && isStaleReceipt(result.failure))) return []
      return [[delivery, result.error]]
    }),
  )
}
