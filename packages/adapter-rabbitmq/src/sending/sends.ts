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
import { done, eachGroup } from '@waybill/core/driver-kit'
import type { Link } from '../connection/link.ts'
import type { RabbitmqSettings } from '../options.ts'
import type { Ladders } from '../topology/ladders.ts'
import type { Wishes } from '../topology/wishes.ts'
import { type Outgoing, toAmqp } from '../wire/messages.ts'
import { routingKeyOf, type TopicObjects } from '../wire/names.ts'
import { delayed } from './copies.ts'
import { Publisher, unroutable } from './publisher.ts'

/** A message of core's on its way. */
interface Send extends Outgoing {
  readonly message: OutboundMessage
}

export interface SendsParts {
  readonly link: Link
  readonly ladders: Ladders
  readonly wishes: Wishes
  readonly settings: RabbitmqSettings
  readonly context: DriverContext
}

/** How many kinds of unroutable messages are warned of, each once. */
const maxWarnings = 1000

/** Publishes what applications send: at once, or into the topic's delay ladder. */
export class Sends {
  readonly #parts: SendsParts
  readonly #publisher: Publisher<Send>
  /** By topic, the patterns of the groups this process has provisioned. */
  readonly #expected = new Map<string, Set<string>>()
  /** Types of delayed messages that were found to be kept by a group; patterns are never taken away. */
  readonly #kept = new Set<string>()
  readonly #warned = new Set<string>()

  constructor(parts: SendsParts) {
    this.#parts = parts
    const { link, context, settings } = parts
    this.#publisher = new Publisher(link, context.clock, settings.confirmTimeout, {
      onUnroutable: (send) => this.#onUnroutable(send),
      lane: ({ message }) => (message.topic.ordered ? message.key : undefined),
    })
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
    const { ladders } = this.#parts
    const waitsFor = ({ delayMs }: OutboundMessage) =>
      delayMs === 0 || ladders.takes(objects.ladder, delayMs) ? undefined : delayMs
    return eachGroup(batch, waitsFor, (some, waitMs) =>
      each(some, this.#publishDelayed(some, waitMs !== undefined, objects)),
    )
  }

  async #publishDelayed(
    batch: readonly OutboundMessage[],
    isWaiting: boolean,
    objects: TopicObjects,
  ): Promise<readonly Outcome[]> {
    const { ladders, context } = this.#parts
    const startedAt = context.clock.monotonic()
    const unwanted = await this.#unwanted(batch, objects)
    const longestMs = batch.reduce((longest, { delayMs }) => Math.max(longest, delayMs), 0)
    let isOver = false
    if (isWaiting) isOver = await ladders.raiseUnlessOver(objects.ladder, longestMs)
    else if (longestMs > 0) await ladders.raise(objects.ladder, longestMs)
    // Making queues takes its time, which is part of the delay.
    const elapsedMs = isOver ? longestMs : context.clock.monotonic() - startedAt
    const isRefused = ({ type, delayMs }: OutboundMessage) => delayMs > 0 && unwanted.has(type)
    return eachGroup(batch, isRefused, async (some, refused) =>
      refused
        ? some.map(({ type }) => this.#reject(`No group keeps ${type} of topic ${objects.topic.name}`))
        : this.#publisher.publish(some.map((message) => this.#toSend(message, objects, elapsedMs))),
    )
  }

  /**
   * The types of delayed messages that nobody keeps. They cannot come back as unroutable: where they would, they have long
   * been confirmed. Refused if asked to; otherwise a group that is created in the meantime gets them.
   */
  async #unwanted(batch: readonly OutboundMessage[], objects: TopicObjects): Promise<ReadonlySet<string>> {
    const unwanted = new Set<string>()
    const { name } = objects.topic
    for (const type of new Set(batch.flatMap(({ type, delayMs }) => (delayMs > 0 ? [type] : [])))) {
      if (this.#isExpected(name, type) || this.#kept.has(`${name} ${type}`)) continue
      if (await this.#parts.wishes.isKept(objects, type)) {
        if (this.#kept.size < maxWarnings) this.#kept.add(`${name} ${type}`)
      } else if (this.#parts.settings.unroutable === 'reject') unwanted.add(type)
      else
        this.#warnOnce(name, type, 'sent with a delay, reaches no group unless one that wants it comes to be')
    }
    return unwanted
  }

  #toSend(message: OutboundMessage, { exchange, ladder }: TopicObjects, elapsedMs: number): Send {
    const { topic, type, key, delayMs } = message
    const { context, settings, ladders } = this.#parts
    const routingKey = routingKeyOf(topic, type, key)
    const amqp = toAmqp(message, context.clock.now(), settings.mirrorAttributes)
    if (delayMs <= elapsedMs) return { exchange: exchange.name, routingKey, ...amqp, message }
    return { ...delayed(amqp, delayMs - elapsedMs, ladder, ladders.levels, routingKey), message }
  }

  #onUnroutable(send: Send): Outcome {
    const { topic, type, delayMs } = send.message
    if (this.#isExpected(topic.name, type) || delayMs > 0) {
      // A queue or binding that was there has been taken away; core provisions the topic again.
      this.#parts.ladders.forget()
      this.#parts.wishes.forget()
      return unroutable(send)
    }
    if (this.#parts.settings.unroutable === 'reject') return this.#reject(unroutable(send).error.message)
    this.#warnOnce(topic.name, type, 'reaches no group: no queue is bound for it, so RabbitMQ dropped it')
    return done
  }

  #isExpected(topic: string, type: string): boolean {
    const patterns = this.#expected.get(topic)
    return patterns !== undefined && [...patterns].some((pattern) => matchesPattern(pattern, type))
  }

  #reject(message: string): Outcome {
    return { ok: false, error: new MessagingError('rejected', message, { fate: 'not-sent' }) }
  }

  #warnOnce(topic: string, type: string, what: string): void {
    const kind = `${topic} ${type}`
    if (this.#warned.has(kind) || this.#warned.size >= maxWarnings) return
    this.#warned.add(kind)
    this.#parts.context.emit({ type: 'warning', message: `${type} on topic ${topic} ${what}` })
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
