import { type Clock, type Outcome, toMessagingError, type Verdict } from '@waybill/core/driver'
import type { Message } from 'amqplib'
import type { Ladders } from '../topology/ladders.ts'
import { type Ladder, levelName, planDelay } from '../wire/delays.ts'
import { type Outgoing, priorityOf, shortenHeaders, toCopy, withDelay } from '../wire/messages.ts'
import { describeGroup, ladderOf, type TopicObjects } from '../wire/names.ts'
import { inGroups } from './in-groups.ts'
import type { Publisher } from './publisher.ts'

export interface CopyRequest {
  readonly source: Pick<Message, 'content' | 'properties'>
  readonly verdict: Extract<Verdict, { kind: 'retry' | 'dead-letter' }>
  /** The group's queue that a retry comes back to, and its number among the group's queues. */
  readonly queue: string
  readonly partition: number
}

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
    const waitsFor = ({ verdict, queue }: CopyRequest) =>
      verdict.kind === 'retry' &&
      verdict.delayMs > 0 &&
      !this.#ladders.takes(ladderOf(queue), verdict.delayMs)
        ? `${queue} ${verdict.delayMs}`
        : undefined
    return inGroups(requests, waitsFor, (some, isWaiting) =>
      this.#publishTogether(some, isWaiting, objects, group),
    )
  }

  async #publishTogether(
    requests: readonly CopyRequest[],
    isWaiting: boolean,
    objects: TopicObjects,
    group: string,
  ): Promise<readonly Outcome[]> {
    const startedAt = this.#clock.now()
    try {
      const isOver = await this.#raiseLadders(requests, isWaiting)
      // Making delay queues takes its time, which is part of the delay.
      const elapsedMs = isOver ? Number.POSITIVE_INFINITY : this.#clock.now() - startedAt
      const { dead } = describeGroup(objects, group)
      let messages = requests.map((request) => this.#toOutgoing(request, elapsedMs, objects, dead.name))
      const outcomes = [...(await this.#publisher.publish(messages))]
      // The failure record can make headers too long for AMQP; the message must find its place all the same.
      for (let tries = 0; tries < 5; tries += 1) {
        const tooLong = outcomes.flatMap((outcome, index) =>
          !outcome.ok && outcome.error.code === 'too-large' ? [index] : [],
        )
        if (tooLong.length === 0) break
        messages = messages.map((message, index) => (tooLong.includes(index) ? shortened(message) : message))
        const again = await this.#publisher.publish(tooLong.flatMap((index) => messages[index] ?? []))
        tooLong.forEach((index, position) => {
          const outcome = again[position]
          if (outcome !== undefined) outcomes[index] = outcome
        })
      }
      return outcomes
    } catch (error) {
      const outcome: Outcome = { ok: false, error: toMessagingError(error, 'Publishing a copy failed') }
      return requests.map(() => outcome)
    }
  }

  /** Resolves with whether the delay is over. All that wait for queues to be made have the same one, and the same ladder. */
  async #raiseLadders(requests: readonly CopyRequest[], isWaiting: boolean): Promise<boolean> {
    const delays = new Map<string, number>()
    for (const { verdict, queue } of requests) {
      if (verdict.kind !== 'retry' || verdict.delayMs <= 0) continue
      delays.set(queue, Math.max(verdict.delayMs, delays.get(queue) ?? 0))
    }
    for (const [queue, delayMs] of delays) {
      if (isWaiting) return this.#ladders.raiseUnlessOver(ladderOf(queue), delayMs)
      await this.#ladders.raise(ladderOf(queue), delayMs)
    }
    return false
  }

  #toOutgoing(
    { source, verdict, queue, partition }: CopyRequest,
    elapsedMs: number,
    { topic }: TopicObjects,
    dead: string,
  ): Outgoing {
    switch (verdict.kind) {
      case 'dead-letter':
        return {
          exchange: '',
          routingKey: dead,
          ...toCopy(source, verdict.headers, topic.ordered ? partition : undefined),
        }
      case 'retry': {
        const delayMs = verdict.delayMs - elapsedMs
        const copy = toCopy(source, verdict.headers)
        if (delayMs <= 0) return toQueue(queue, copy, verdict.headers)
        return delayed(copy, delayMs, ladderOf(queue), this.#ladders.levels)
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

/** Into a ladder. `routingKey` is what the message shall have when it leaves it, where that matters. */
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
