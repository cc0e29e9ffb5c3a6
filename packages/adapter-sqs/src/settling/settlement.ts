import { randomUUID } from 'node:crypto'
import { deadLetterIdOf, MessagingError, type Verdict } from '@waybill/core/driver'
import { isStaleReceipt } from '../errors.ts'
import type { ItemResult } from '../sending/batches.ts'
import type { Queue } from '../sending/queue.ts'
import type { Outgoing } from '../sending/sender.ts'
import type { SqsDelivery } from '../wire/delivery.ts'
import { placeOf, splitDelay } from '../wire/messages.ts'

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
}

/**
 * Carries verdicts out: acks are deletes, releases end the visibility timeout, retries and dead letters are copies
 * followed by deletes. A retry is a copy because a message that only becomes visible again cannot carry the attempt.
 */
export async function carryOut(
  settlements: readonly OpenSettlement[],
  queues: SettlementQueues,
): Promise<Failures> {
  const acks: SqsDelivery[] = []
  const releases: SqsDelivery[] = []
  const retries: Copy[] = []
  const letters: Copy[] = []
  const failures: (readonly [SqsDelivery, MessagingError])[] = []
  for (const { delivery, verdict } of settlements) {
    if (delivery.isCopied || verdict.kind === 'ack') acks.push(delivery)
    else if (verdict.kind === 'release') releases.push(delivery)
    else if (verdict.kind === 'dead-letter')
      letters.push(letterOf(delivery, verdict.headers, queues.deadLetters))
    else if (queues.queue.isFifo) failures.push([delivery, notOnFifo])
    else retries.push(retryOf(delivery, verdict.headers, verdict.delayMs, queues.longestDelayMs))
  }
  const carriedOut = await Promise.all([
    remove(acks, queues.queue),
    giveBack(releases, queues.queue),
    replace(retries, queues.queue, queues.queue),
    replace(letters, queues.deadLetters, queues.queue),
  ])
  return new Map([...failures, ...carriedOut.flatMap((each) => [...each])])
}

interface Copy {
  readonly delivery: SqsDelivery
  readonly outgoing: Outgoing
}

const notOnFifo = new MessagingError(
  'unsupported',
  'FIFO queues know no delay of a single message: no retry by copy there',
)

function retryOf(
  delivery: SqsDelivery,
  headers: Outgoing['headers'],
  delayMs: number,
  longestMs: number,
): Copy {
  const { body, contentType } = delivery
  const { seconds, carriedMs } = splitDelay(delayMs, longestMs)
  return { delivery, outgoing: { body, contentType, headers, delayMs: carriedMs, delaySeconds: seconds } }
}

function letterOf(delivery: SqsDelivery, headers: Outgoing['headers'], deadLetters: Queue): Copy {
  const { body, contentType, key } = delivery
  const id = deadLetterIdOf(headers) ?? randomUUID()
  // Each letter is a message group of its own: those of one group could only be looked at one after another.
  return {
    delivery,
    outgoing: { body, contentType, headers, key, fifo: deadLetters.isFifo ? placeOf(id, id) : undefined },
  }
}

async function replace(copies: readonly Copy[], target: Queue, source: Queue): Promise<Failures> {
  if (copies.length === 0) return new Map()
  const results = await target.sender.send(copies.map(({ outgoing }) => outgoing))
  const deliveries = copies.map(({ delivery }) => delivery)
  const failures = failuresOf(deliveries, results)
  const copied = deliveries.filter((delivery) => !failures.has(delivery))
  for (const delivery of copied) delivery.isCopied = true
  return new Map([...failures, ...(await remove(copied, source))])
}

async function remove(deliveries: readonly SqsDelivery[], queue: Queue): Promise<Failures> {
  return failuresOf(deliveries, await queue.delete(deliveries.map(({ receipt }) => receipt)))
}

/** Last first: on FIFO queues an earlier message of a key must not come back behind a later one. */
export async function giveBack(deliveries: readonly SqsDelivery[], queue: Queue): Promise<Failures> {
  const lastFirst = deliveries.toReversed()
  return failuresOf(lastFirst, await queue.hide(lastFirst.map(({ receipt }) => ({ receipt, seconds: 0 }))))
}

/** A receipt that counts no more is no failure: the message is not ours to settle. */
function failuresOf(deliveries: readonly SqsDelivery[], results: readonly ItemResult[]): Failures {
  return new Map(
    deliveries.flatMap((delivery, index) => {
      const result = results[index]
      if (result === undefined || (result.failure !== undefined && isStaleReceipt(result.failure))) return []
      return [[delivery, result.error]]
    }),
  )
}
