import {
  type GroupSpec,
  MessagingError,
  type TopicSpec,
  type TopologyReport,
  toError,
} from '@waybill/core/driver'
import { definedOtherwise } from '@waybill/core/driver-kit'
import type { Link } from '../connection/link.ts'
import { replyCodeOf, streamRefused } from '../errors.ts'
import type { Ladder } from '../wire/delays.ts'
import { describeGroup, type Exchange, type Named, partitionsMark, type TopicObjects } from '../wire/names.ts'
import {
  bindQueue,
  declare,
  exchangeExists,
  inParallel,
  type QueueArguments,
  queueExists,
} from './declarations.ts'
import type { Ladders } from './ladders.ts'
import type { Wishes } from './wishes.ts'

type Mode = 'create' | 'verify'

interface Report {
  readonly created: string[]
  readonly missing: string[]
}

export interface TopologyParts {
  readonly link: Link
  readonly ladders: Ladders
  readonly wishes: Wishes
  readonly quorumArguments: QueueArguments
}

/** The most partitions that are looked for to name them in an error. */
const mostPartitions = 128

/** Declares and checks exchanges, queues and bindings. Nothing is ever changed, unbound or deleted. */
export class Topology {
  readonly #link: Link
  readonly #ladders: Ladders
  readonly #wishes: Wishes
  readonly #quorumArguments: QueueArguments

  constructor({ link, ladders, wishes, quorumArguments }: TopologyParts) {
    this.#link = link
    this.#ladders = ladders
    this.#wishes = wishes
    this.#quorumArguments = quorumArguments
  }

  async apply(
    topics: readonly { readonly objects: TopicObjects; readonly groups: readonly GroupSpec[] }[],
    mode: Mode,
    signal: AbortSignal | undefined,
  ): Promise<TopologyReport> {
    const report: Report = { created: [], missing: [] }
    for (const { objects, groups } of topics) {
      if (signal?.aborted) throw new MessagingError('aborted', 'Applying the topology was aborted')
      const { exchange, filters } = objects
      const exchanges = filters === undefined ? [exchange] : [exchange, filters.types, filters.patterns]
      for (const each of exchanges) {
        await this.#exchange(each, mode, report).catch((error: unknown) => {
          throw isOtherType(error) ? otherOrder(objects.topic, error) : error
        })
      }
      // Behind the exchange: marks beside one that is not ordered would tell a lie.
      if (objects.topic.ordered) await this.#checkPartitions(objects, mode)
      await Promise.all(groups.map((group) => this.#group(objects, group, mode, report)))
      await this.#ladder(objects.ladder, mode, report)
      if (mode === 'create') await this.#wishes.declare(objects, groups)
      else for (const group of groups) report.missing.push(...(await this.#wishes.missing(objects, group)))
    }
    return report
  }

  async #exchange(exchange: Exchange, mode: Mode, report: Report): Promise<void> {
    const label = `exchange ${exchange.name}`
    const exists = await exchangeExists(this.#link, exchange.name)
    if (mode === 'verify' || exchange.existing) {
      if (!exists) reportMissing(label, mode, report)
      return
    }
    await declare(this.#link, label, (channel) =>
      channel.assertExchange(exchange.name, exchange.type, { durable: true }),
    )
    if (!exists) report.created.push(label)
  }

  async #group(objects: TopicObjects, group: GroupSpec, mode: Mode, report: Report): Promise<void> {
    const { queues, dead, ladder } = describeGroup(objects, group.name)
    const args = {
      ...this.#quorumArguments,
      ...(objects.topic.ordered && { 'x-single-active-consumer': true }),
      ...objects.settings.queueArguments,
    }
    const tasks = queues.map((queue, partition) => async () => {
      const exists = await this.#queue(queue, args, mode, report)
      if (!exists || mode === 'verify') return
      await declare(this.#link, `bindings of queue ${queue.name}`, (channel) =>
        bindQueue(channel, queue.name, objects, group.types, partition),
      )
    })
    await inParallel([...tasks, () => this.#queue(dead, this.#quorumArguments, mode, report)])
    await this.#ladder(ladder, mode, report)
  }

  /**
   * The number of partitions is fixed: a key would change its queue while messages of it wait in the old one. An exchange
   * that nothing goes through says how many there are, so that queues may be missing, whichever they are, and are made.
   */
  async #checkPartitions(objects: TopicObjects, mode: Mode): Promise<void> {
    const { name, partitions } = objects.topic
    const mark = partitionsMark(objects, partitions)
    if (await exchangeExists(this.#link, mark)) return
    const theirs = await this.#partitionsAtBroker(objects)
    if (theirs !== undefined) {
      throw definedOtherwise({
        what: `Topic ${name}`,
        ours: `ordered with ${partitions} partitions`,
        theirs: `one with ${theirs}`,
      })
    }
    if (mode === 'verify') return
    await declare(this.#link, `exchange ${mark}`, async (channel) => {
      await channel.assertExchange(partitionsMark(objects), 'direct', { durable: true })
      await channel.assertExchange(mark, 'direct', { durable: true })
    })
  }

  async #partitionsAtBroker(objects: TopicObjects): Promise<number | undefined> {
    if (!(await exchangeExists(this.#link, partitionsMark(objects)))) return undefined
    for (let count = 1; count <= mostPartitions; count += 1) {
      if (await exchangeExists(this.#link, partitionsMark(objects, count))) return count
    }
    return undefined
  }

  async #queue(queue: Named, args: QueueArguments, mode: Mode, report: Report): Promise<boolean> {
    const label = `queue ${queue.name}`
    const exists = await queueExists(this.#link, queue.name)
    if (mode === 'verify' || queue.existing) {
      if (!exists) reportMissing(label, mode, report)
      else if (queue.existing) await this.#refuseStream(queue.name)
      return exists
    }
    await declare(this.#link, label, (channel) =>
      channel.assertQueue(queue.name, { durable: true, arguments: args }),
    )
    if (!exists) report.created.push(label)
    return true
  }

  /** AMQP does not tell the type of a queue, but agrees to declare one again as what it is, and to nothing else. */
  async #refuseStream(queue: string): Promise<void> {
    const stream = { 'x-queue-type': 'stream' }
    const declaring = this.#link.withChannel(`Looking at queue ${queue} failed`, (channel) =>
      channel.assertQueue(queue, { durable: true, arguments: stream }),
    )
    const isStream = await declaring.then(
      () => true,
      () => false,
    )
    if (isStream) throw streamRefused(queue)
  }

  async #ladder(ladder: Ladder, mode: Mode, report: Report): Promise<void> {
    if (mode === 'create') await this.#ladders.makeAll(ladder)
    else report.missing.push(...(await this.#ladders.missing(ladder)))
  }
}

/** In create mode only of objects that the options say exist. */
function reportMissing(label: string, mode: Mode, report: Report): void {
  if (mode === 'verify') report.missing.push(label)
  else {
    throw new MessagingError(
      'topology-missing',
      `The options name ${label} as an existing one, but it does not exist; create it, or remove the option so that Waybill creates its own`,
    )
  }
}

/** The exchange of an ordered topic is of another type than that of one that is not. */
function otherOrder({ name, ordered }: TopicSpec, cause: unknown): MessagingError {
  const kinds = ['ordered (a topic exchange)', 'not ordered (a fanout exchange)'] as const
  const [ours, theirs] = ordered ? kinds : ([kinds[1], kinds[0]] as const)
  return definedOtherwise({ what: `Topic ${name}`, ours, theirs, cause })
}

function isOtherType(error: unknown): boolean {
  return (
    replyCodeOf(error) === 406 &&
    /inequivalent arg 'type'.* is '(?:topic|fanout)'/s.test(toError(error).message)
  )
}
