import { type GroupSpec, MessagingError, type TopologyReport } from '@waybill/core/driver'
import type { Link } from '../connection/link.ts'
import type { Ladder } from '../wire/delays.ts'
import { describeGroup, type Exchange, ladderOf, type Named, type TopicObjects } from '../wire/names.ts'
import {
  bindQueue,
  declare,
  exchangeExists,
  inParallel,
  queueExists,
  quorumArguments,
} from './declarations.ts'
import type { Ladders } from './ladders.ts'

type Mode = 'create' | 'verify'

interface Report {
  readonly created: string[]
  readonly missing: string[]
}

/** Declares and checks exchanges, queues and bindings. Nothing is ever changed, unbound or deleted. */
export class Topology {
  readonly #link: Link
  readonly #ladders: Ladders

  constructor(link: Link, ladders: Ladders) {
    this.#link = link
    this.#ladders = ladders
  }

  async apply(
    topics: readonly { readonly objects: TopicObjects; readonly groups: readonly GroupSpec[] }[],
    mode: Mode,
  ): Promise<TopologyReport> {
    const report: Report = { created: [], missing: [] }
    for (const { objects, groups } of topics) {
      const { exchange, filters } = objects
      const exchanges = filters === undefined ? [exchange] : [exchange, filters.types, filters.patterns]
      for (const each of exchanges) await this.#exchange(each, mode, report)
      await this.#ladder(objects.ladder, mode, report)
      await Promise.all(groups.map((group) => this.#group(objects, group, mode, report)))
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
    const { queues, dead } = describeGroup(objects, group.name)
    const { ordered } = objects.topic
    if (ordered) await this.#checkPartitions(queues)
    const args = {
      ...quorumArguments,
      ...(ordered && { 'x-single-active-consumer': true }),
      ...objects.settings.queueArguments,
    }
    const [first, ...others] = queues.map((queue, partition) => async () => {
      const exists = await this.#queue(queue, args, mode, report)
      if (!exists || mode === 'verify') return
      await declare(this.#link, `bindings of queue ${queue.name}`, (channel) =>
        bindQueue(channel, queue.name, objects, group.types, partition),
      )
    })
    await inParallel([...others, () => this.#queue(dead, quorumArguments, mode, report)])
    // The first partition last: where it exists, all of them do.
    await first?.()
    for (const { name } of queues) await this.#ladder(ladderOf(name), mode, report)
  }

  /** The number of partitions is fixed: a key would change its queue while messages of it wait in the old one. */
  async #checkPartitions(queues: readonly Named[]): Promise<void> {
    const [first] = queues
    const last = queues.at(-1)
    if (first === undefined || last === undefined) return
    const beyond = last.name.replace(/\d+$/, String(queues.length))
    if (await queueExists(this.#link, beyond)) {
      throw mismatch(`queue ${beyond} exists, so there are more partitions at the broker`, queues.length)
    }
    const beforeLast = queues.at(-2) ?? last
    if (!(await queueExists(this.#link, first.name)) || (await queueExists(this.#link, last.name))) return
    // One queue alone may have been deleted; that is mended, not refused.
    if (beforeLast !== first && !(await queueExists(this.#link, beforeLast.name))) {
      throw mismatch(
        `queue ${first.name} exists and ${beforeLast.name} does not, so there are fewer`,
        queues.length,
      )
    }
  }

  async #queue(
    queue: Named,
    args: Readonly<Record<string, string | number | boolean>>,
    mode: Mode,
    report: Report,
  ): Promise<boolean> {
    const label = `queue ${queue.name}`
    const exists = await queueExists(this.#link, queue.name)
    if (mode === 'verify' || queue.existing) {
      if (!exists) reportMissing(label, mode, report)
      return exists
    }
    await declare(this.#link, label, (channel) =>
      channel.assertQueue(queue.name, { durable: true, arguments: args }),
    )
    if (!exists) report.created.push(label)
    return true
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
      `The options name ${label} as an existing one, but it is not there; Waybill does not create what is named so`,
    )
  }
}

function mismatch(found: string, wanted: number): MessagingError {
  return new MessagingError(
    'topology-mismatch',
    `The topic is defined with ${wanted} partitions, but ${found}. The number is fixed once a topic exists`,
  )
}
