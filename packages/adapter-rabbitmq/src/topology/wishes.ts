import { type GroupSpec, MessagingError } from '@waybill/core/driver'
import type { Link } from '../connection/link.ts'
import { replyCodeOf } from '../errors.ts'
import { describeGroup, type TopicObjects } from '../wire/names.ts'
import { declare, declareSink, type QueueArguments } from './declarations.ts'
import { routesOf } from './routes.ts'

/** Segments that no message type has, to ask for a pattern by. Several for `#`, so that `*` does not do in its place. */
const anySegment = 'waybill-any'
const anySegments = [anySegment, anySegment, anySegment].join('.')

/**
 * What groups keep and what their members have asked for, as bindings that outlive them. Nothing goes through them: they
 * lead to a queue that keeps nothing, and are there to be asked.
 */
export class Wishes {
  readonly #declaring: Link
  readonly #asking: Link
  readonly #quorumArguments: QueueArguments
  /** What this process has bound already. */
  readonly #bound = new Set<string>()

  /** Asked on the connection that publishes: the broker stops reading from one that does while it is short of memory. */
  constructor(declaring: Link, asking: Link, quorumArguments: QueueArguments) {
    this.#declaring = declaring
    this.#asking = asking
    this.#quorumArguments = quorumArguments
  }

  async declare(objects: TopicObjects, groups: readonly GroupSpec[]): Promise<void> {
    const bindings = groups.flatMap((group) => [
      ...group.types.map((pattern) => ({ exchange: objects.kept, pattern })),
      ...group.wishes.map((pattern) => ({ exchange: describeGroup(objects, group.name).wishes, pattern })),
    ])
    const isNew = ({ exchange, pattern }: (typeof bindings)[number]) =>
      !this.#bound.has(`${exchange} ${pattern}`)
    const exchanges = new Set([
      objects.kept,
      ...groups.map((group) => describeGroup(objects, group.name).wishes),
    ])
    const missing = bindings.filter(isNew)
    const isKnown = [...exchanges].every((exchange) => this.#bound.has(exchange))
    if (missing.length === 0 && isKnown) return
    await declare(this.#declaring, `the wishes for topic ${objects.topic.name}`, async (channel) => {
      await declareSink(channel, objects.sink, this.#quorumArguments)
      for (const exchange of exchanges) await channel.assertExchange(exchange, 'topic', { durable: true })
      for (const { exchange, pattern } of missing) await channel.bindQueue(objects.sink, exchange, pattern)
    })
    for (const exchange of exchanges) this.#bound.add(exchange)
    for (const { exchange, pattern } of missing) this.#bound.add(`${exchange} ${pattern}`)
  }

  /** Where nobody keeps wishes, nothing is known to be unwanted. */
  async wanted(objects: TopicObjects, group: string, types: readonly string[]): Promise<readonly boolean[]> {
    return (await this.#ask(describeGroup(objects, group).wishes, types)) ?? types.map(() => true)
  }

  /** Whether a group keeps the type, as far as groups have told. */
  async isKept({ kept }: TopicObjects, type: string): Promise<boolean> {
    const [isKept = true] = (await this.#ask(kept, [type])) ?? []
    return isKept
  }

  /**
   * For connections that must not change the topology: the group's wishes are still added where there is a place for
   * them, because other members would skip what they do not know to be wanted. What the broker does not allow is missing.
   */
  async missing(objects: TopicObjects, { name, wishes }: GroupSpec): Promise<readonly string[]> {
    const exchange = describeGroup(objects, name).wishes
    if (wishes.length === 0) return []
    const examples = wishes.map((pattern) => pattern.replaceAll('#', anySegments).replaceAll('*', anySegment))
    const known = await this.#ask(exchange, examples)
    const unknown = wishes.filter((_, index) => known?.[index] === false)
    if (unknown.length === 0) return []
    try {
      await declare(this.#declaring, `the wishes of group ${name}`, async (channel) => {
        for (const pattern of unknown) await channel.bindQueue(objects.sink, exchange, pattern)
      })
      return []
    } catch (error) {
      if (replyCodeOf(error) !== 403) throw error
      return unknown.map((pattern) => `binding of exchange ${exchange} for ${pattern}`)
    }
  }

  /** After a loss, somebody may have deleted what this process has made. */
  forget(): void {
    this.#bound.clear()
  }

  #ask(exchange: string, keys: readonly string[]): Promise<readonly boolean[] | undefined> {
    const { blocked } = this.#asking
    if (blocked === undefined) return routesOf(this.#asking, exchange, keys)
    throw new MessagingError('throttled', `RabbitMQ is blocking publishers: ${blocked}`, { retryable: true })
  }
}
