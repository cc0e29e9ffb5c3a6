import type { Clock, Outcome, Verdict } from '@waybill/core/driver'
import { eachGroup, outcomesOf } from '@waybill/core/driver-kit'
import type { Ladders } from '../topology/ladders.ts'
import type { AmqpMessage } from '../wire/amqp.ts'
import { type Ladder, levelName, planDelay } from '../wire/delays.ts'
import {
  type Counts,
  type Outgoing,
  priorityOf,
  shortenHeaders,
  toCopy,
  withDelay,
} from '../wire/messages.ts'
import { describeGroup, type GroupObjects, type TopicObjects } from '../wire/names.ts'
import type { Publisher } from './publisher.ts'

/** What a copy is made for: a verdict of core's, or a message that goes back to its queue with its counts. */
export type CopyPurpose =
  | Extract<Verdict, { kind: 'retry' | 'dead-letter' }>
  | { readonly kind: 'return'; readonly headers: Readonly<Record<string, string>>; readonly counts: Counts }

export interface CopyRequest {
  readonly source: Pick<AmqpMessage, 'content' | 'properties'>
  readonly purpose: CopyPurpose
  /** The group's queue that a retry comes back to, and its number among the group's queues. */
  readonly queue: string
  readonly partition: number
}

/** How often the headers of a copy are shortened until they fit. */
const mostShortenings = 5

/** Publishes what settlements and replays put into queues: retries, dead letters and what comes back from there. */
export class Copies {
  readonly #publisher: Publisher
  readonly #ladders: Ladders
  readonly #clock: Clock

  constructor(publisher: Publisher, ladders: Ladders, clock: Clock) {
    this.#publisher = publisher
    this.#ladders = ladders
    this.#clock = clock
  }

  /** What need not wait for delay queues to be made goes together, before one wait for confirms. Never rejects. */
  publish(
    requests: readonly CopyRequest[],
    objects: TopicObjects,
    group: string,
  ): Promise<readonly Outcome[]> {
    const described = describeGroup(objects, group)
    const waitsFor = ({ purpose }: CopyRequest) =>
      purpose.kind === 'retry' &&
      purpose.delayMs > 0 &&
      !this.#ladders.takes(described.ladder, purpose.delayMs)
        ? purpose.delayMs
        : undefined
    return eachGroup(requests, waitsFor, (some, waitMs) =>
      outcomesOf(some, 'Publishing a copy failed', () =>
        this.#publishTogether(some, waitMs !== undefined, objects, described),
      ),
    )
  }

  async #publishTogether(
    requests: readonly CopyRequest[],
    isWaiting: boolean,
    objects: TopicObjects,
    group: GroupObjects,
  ): Promise<readonly Outcome[]> {
    const startedAt = this.#clock.monotonic()
    const isOver = await this.#raiseLadder(requests, isWaiting, group.ladder)
    // Making delay queues takes its time, which is part of the delay.
    const elapsedMs = isOver ? Number.POSITIVE_INFINITY : this.#clock.monotonic() - startedAt
    return this.#publishFitting(
      requests.map((request) => this.#toOutgoing(request, elapsedMs, objects, group)),
    )
  }

  /** The failure record can make headers too long for AMQP; the copy must still be written. */
  async #publishFitting(messages: readonly Outgoing[]): Promise<readonly Outcome[]> {
    const outcomes = [...(await this.#publisher.publish(messages))]
    let fitting = messages
    for (let tries = 0; tries < mostShortenings; tries += 1) {
      const tooLong = outcomes.flatMap((outcome, index) =>
        !outcome.ok && outcome.error.code === 'too-large' ? [index] : [],
      )
      if (tooLong.length === 0) break
      fitting = fitting.map((message, index) => (tooLong.includes(index) ? shortened(message) : message))
      const again = await this.#publisher.publish(tooLong.flatMap((index) => fitting[index] ?? []))
      tooLong.forEach((index, position) => {
        const outcome = again[position]
        if (outcome !== undefined) outcomes[index] = outcome
      })
    }
    return outcomes
  }

  /** Resolves with whether the delay is over. All that wait for queues to be made have the same one. */
  async #raiseLadder(requests: readonly CopyRequest[], isWaiting: boolean, ladder: Ladder): Promise<boolean> {
    const longestMs = requests.reduce(
      (longest, { purpose }) => (purpose.kind === 'retry' ? Math.max(longest, purpose.delayMs) : longest),
      0,
    )
    if (longestMs <= 0) return false
    if (isWaiting) return this.#ladders.raiseUnlessOver(ladder, longestMs)
    await this.#ladders.raise(ladder, longestMs)
    return false
  }

  #toOutgoing(
    { source, purpose, queue, partition }: CopyRequest,
    elapsedMs: number,
    { topic }: TopicObjects,
    { dead, ladder }: GroupObjects,
  ): Outgoing {
    switch (purpose.kind) {
      case 'dead-letter': {
        const extras = topic.ordered ? { partition } : {}
        return { exchange: '', routingKey: dead.name, ...toCopy(source, purpose.headers, extras) }
      }
      case 'return': {
        const { headers, counts } = purpose
        return toQueue(queue, toCopy(source, headers, { counts }), headers)
      }
      case 'retry': {
        const delayMs = purpose.delayMs - elapsedMs
        const copy = toCopy(source, purpose.headers)
        if (delayMs <= 0) return toQueue(queue, copy, purpose.headers)
        const routingKey = ladder.exit.kind === 'queues' ? queue : undefined
        return delayed(copy, delayMs, ladder, this.#ladders.levels, routingKey)
      }
    }
  }
}

/** Straight into a queue. */
export function toQueue(
  queue: string,
  { body, options }: Pick<Outgoing, 'body' | 'options'>,
  headers: Readonly<Record<string, string>>,
): Outgoing {
  const priority = priorityOf(headers)
  return {
    exchange: '',
    routingKey: queue,
    body,
    options: priority === undefined ? options : { ...options, priority },
  }
}

/** Into a ladder. `routingKey` is the one that the message must have when it leaves, where that matters. */
export function delayed(
  { body, options }: Pick<Outgoing, 'body' | 'options'>,
  delayMs: number,
  ladder: Ladder,
  ladderLevels: number,
  routingKey?: string,
): Outgoing {
  const plan = planDelay(delayMs, ladderLevels)
  const exchange = levelName(ladder, plan.height - 1)
  const waiting = withDelay(options, plan.remainingMs, routingKey === undefined ? undefined : plan.routingKey)
  return { exchange, routingKey: routingKey ?? plan.routingKey, body, options: waiting }
}

function shortened(message: Outgoing): Outgoing {
  return { ...message, options: shortenHeaders(message.options) }
}
