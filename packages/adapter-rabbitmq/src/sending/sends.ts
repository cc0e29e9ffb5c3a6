import {
  type DriverContext,
  type GroupSpec,
  MessagingError,
  matchesPattern,
  type OutboundMessage,
  type Outcome,
  type TopicSpec,
  toMessagingError,
} from '@waybill/core/driver'
import type { Link } from '../connection/link.ts'
import type { Settings } from '../options.ts'
import type { Ladders } from '../topology/ladders.ts'
import { type Outgoing, toAmqp } from '../wire/messages.ts'
import { routingKeyOf, type TopicObjects } from '../wire/names.ts'
import { delayed } from './copies.ts'
import { inGroups } from './in-groups.ts'
import { Publisher, unroutable } from './publisher.ts'

/** A message of core's on its way. */
interface Send extends Outgoing {
  readonly message: OutboundMessage
}

/** How many kinds of unroutable messages are warned of, each once. */
const maxWarnings = 1000

const ok: Outcome = { ok: true }

/** Publishes what applications send: at once, or into the topic's delay ladder. */
export class Sends {
  readonly #ladders: Ladders
  readonly #settings: Settings
  readonly #context: DriverContext
  readonly #publisher: Publisher<Send>
  /** By topic, the patterns of the groups this process has provisioned. */
  readonly #expected = new Map<string, Set<string>>()
  readonly #warned = new Set<string>()

  constructor(link: Link, ladders: Ladders, settings: Settings, context: DriverContext) {
    this.#ladders = ladders
    this.#settings = settings
    this.#context = context
    this.#publisher = new Publisher(link, context.clock, settings.confirmTimeout, (send) =>
      this.#onUnroutable(send),
    )
  }

  /** The groups exist: what they want must reach a queue from now on. */
  expect({ name }: TopicSpec, groups: readonly GroupSpec[]): void {
    const patterns = this.#expected.get(name) ?? new Set()
    for (const { types } of groups) for (const type of types) patterns.add(type)
    this.#expected.set(name, patterns)
  }

  /** Messages of one topic. Those without a delay do not wait for delay queues to be made. */
  async publish(batch: readonly OutboundMessage[], objects: TopicObjects): Promise<readonly Outcome[]> {
    if (batch.every(({ delayMs }) => delayMs === 0)) {
      return this.#publisher.publish(batch.map((message) => this.#toSend(message, objects, 0)))
    }
    const waitsFor = ({ delayMs }: OutboundMessage) =>
      delayMs === 0 || this.#ladders.takes(objects.ladder, delayMs) ? undefined : `${delayMs}`
    return inGroups(batch, waitsFor, (some, isWaiting) =>
      each(some, this.#publishTogether(some, isWaiting, objects)),
    )
  }

  async #publishTogether(
    batch: readonly OutboundMessage[],
    isWaiting: boolean,
    objects: TopicObjects,
  ): Promise<readonly Outcome[]> {
    const startedAt = this.#context.clock.now()
    const longestMs = batch.reduce((longest, { delayMs }) => Math.max(longest, delayMs), 0)
    let isOver = false
    if (isWaiting) isOver = await this.#ladders.raiseUnlessOver(objects.ladder, longestMs)
    else if (longestMs > 0) await this.#ladders.raise(objects.ladder, longestMs)
    // Making queues takes its time, which is part of the delay.
    const elapsedMs = isOver ? longestMs : this.#context.clock.now() - startedAt
    return this.#publisher.publish(batch.map((message) => this.#toSend(message, objects, elapsedMs)))
  }

  #toSend(message: OutboundMessage, { exchange, ladder }: TopicObjects, elapsedMs: number): Send {
    const { topic, type, key, delayMs } = message
    const routingKey = routingKeyOf(topic, type, key)
    const amqp = toAmqp(message, this.#context.clock.now(), this.#settings.mirrorAttributes)
    if (delayMs <= elapsedMs) return { exchange: exchange.name, routingKey, ...amqp, message }
    return { ...delayed(amqp, delayMs - elapsedMs, ladder, this.#ladders.levels, routingKey), message }
  }

  #onUnroutable(send: Send): Outcome {
    const { topic, type, delayMs } = send.message
    const patterns = this.#expected.get(topic.name)
    const isExpected =
      patterns !== undefined && [...patterns].some((pattern) => matchesPattern(pattern, type))
    if (isExpected || delayMs > 0) {
      // A queue or binding that was there has been taken away; core provisions the topic again.
      this.#ladders.forget()
      return unroutable(send)
    }
    if (this.#settings.unroutable === 'reject') {
      const { message } = unroutable(send).error
      return { ok: false, error: new MessagingError('rejected', message, { fate: 'not-sent' }) }
    }
    this.#warnOnce(
      `${type} on topic ${topic.name} reaches no group: no queue is bound for it, so RabbitMQ dropped it`,
    )
    return ok
  }

  #warnOnce(message: string): void {
    if (this.#warned.has(message) || this.#warned.size >= maxWarnings) return
    this.#warned.add(message)
    this.#context.emit({ type: 'warning', message })
  }
}

/** A rejection as an outcome of each message: the other half of the batch may fare better. */
async function each(
  batch: readonly OutboundMessage[],
  outcomes: Promise<readonly Outcome[]>,
): Promise<readonly Outcome[]> {
  try {
    return await outcomes
  } catch (thrown) {
    // Nothing of it was sent: the publisher rejects only then, and making delay queues comes before it.
    const { code, message, retryable } = toMessagingError(thrown, 'Publishing failed')
    const error = new MessagingError(code, message, { retryable, cause: thrown, fate: 'not-sent' })
    return batch.map(() => ({ ok: false, error }))
  }
}
