import { type Clock, type GroupSpec, MessagingError, type TopologyReport } from '@waybill/core/driver'
import type { Channel } from 'amqplib'
import { describeLevel, type Ladder, type Level, levelCount, levelName } from './delays.ts'
import { replyCodeOf } from './errors.ts'
import type { Link } from './link.ts'
import { bindingKeyOf, describeGroup, ladderOf, type Named, type TopicObjects } from './names.ts'
import type { Settings } from './options.ts'

/** Queue declarations under way at once: a quorum queue takes tens of milliseconds, most of it waiting. */
const parallelDeclarations = 8

/** How often to look for delay queues that others made: each look in vain is an error in the broker's log. */
const lookAgainMs = 60_000

/** Replicated, and never dropping a message for having come back too often: core decides that. */
const quorumArguments = { 'x-queue-type': 'quorum', 'x-delivery-limit': -1 }

type Arguments = Readonly<Record<string, string | number | boolean>>

interface Report {
  readonly created: string[]
  readonly missing: string[]
}

/** What is known to exist of a ladder. */
interface LadderState {
  /** Its levels from the bottom; complete ladders have no gaps, so that every shorter delay finds its way too. */
  height: number
  /** When somebody else's levels were looked for. */
  lookedAt: number
  /** What is being made; one thing at a time. */
  work: Promise<void>
}

/** Declares and checks exchanges, queues and bindings. Nothing is ever changed, unbound or deleted. */
export class Topology {
  readonly #link: Link
  readonly #settings: Settings
  readonly #clock: Clock
  readonly #ladders = new Map<string, LadderState>()
  readonly ladderLevels: number

  constructor(link: Link, settings: Settings, clock: Clock) {
    this.#link = link
    this.#clock = clock
    this.#settings = settings
    this.ladderLevels = levelCount(settings.longestDelayMs)
  }

  async apply(
    topics: readonly { readonly objects: TopicObjects; readonly groups: readonly GroupSpec[] }[],
    mode: 'create' | 'verify',
  ): Promise<TopologyReport> {
    const report: Report = { created: [], missing: [] }
    for (const { objects, groups } of topics) {
      await this.#exchange(objects.exchange, mode, report)
      // Without its exchange nothing can be bound, and in verify mode all the rest is checked all the same.
      for (const group of groups) await this.#group(objects, group, mode, report)
      if (this.#settings.delayQueues === 'all') await this.#wholeLadder(objects.ladder, mode, report)
    }
    return report
  }

  /** Makes the lowest levels of a ladder exist, unless that was to be done beforehand. */
  async raiseLadder(ladder: Ladder, height: number): Promise<void> {
    if (this.#settings.delayQueues === 'on-demand') await this.#makeLevels(ladder, height)
  }

  /** After a loss: somebody may have deleted what this process has seen. */
  forget(): void {
    this.#ladders.clear()
  }

  /** The delay queues of a ladder that exist. */
  async delayQueues(ladder: Ladder): Promise<readonly string[]> {
    const state = this.#stateOf(ladder)
    const now = this.#clock.now()
    if (now - state.lookedAt >= lookAgainMs) {
      state.lookedAt = now
      while (state.height < this.ladderLevels && (await this.#hasQueue(levelName(ladder, state.height))))
        state.height += 1
    }
    return Array.from({ length: state.height }, (_, level) => levelName(ladder, level))
  }

  async #exchange(exchange: Named, mode: 'create' | 'verify', report: Report): Promise<void> {
    const label = `exchange ${exchange.name}`
    const exists = await this.#exists((channel) => channel.checkExchange(exchange.name))
    if (mode === 'verify' || exchange.existing) {
      if (!exists) this.#reportMissing(label, exchange, mode, report)
      return
    }
    await this.#declare(label, (channel) => channel.assertExchange(exchange.name, 'topic', { durable: true }))
    if (!exists) report.created.push(label)
  }

  async #group(
    objects: TopicObjects,
    group: GroupSpec,
    mode: 'create' | 'verify',
    report: Report,
  ): Promise<void> {
    const { topic } = objects
    const { queues, dead } = describeGroup(objects, group.name)
    if (topic.ordered) await this.#checkPartitions(queues)
    const declareOne = async (queue: Named, partition: number) => {
      const kind = topic.ordered ? { 'x-single-active-consumer': true } : {}
      const isThere = await this.#queue(
        queue,
        { ...quorumArguments, ...kind, ...objects.queueArguments },
        mode,
        report,
      )
      if (!isThere || mode === 'verify') return
      await this.#declare(`bindings of queue ${queue.name}`, async (channel) => {
        for (const pattern of group.types) {
          await channel.bindQueue(queue.name, objects.exchange.name, bindingKeyOf(topic, pattern, partition))
        }
      })
    }
    const [first, ...others] = queues.map((queue, partition) => () => declareOne(queue, partition))
    const deadLetters = () => this.#queue(dead, quorumArguments, mode, report)
    await inParallel([...others, deadLetters], parallelDeclarations)
    // The first partition last: where it exists, all of them do.
    await first?.()
    if (this.#settings.delayQueues === 'all') {
      for (const queue of queues) await this.#wholeLadder(ladderOf(queue.name), mode, report)
    }
  }

  /** The number of partitions is fixed: a key would change its queue while messages of it wait in the old one. */
  async #checkPartitions(queues: readonly Named[]): Promise<void> {
    const [first] = queues
    const last = queues.at(-1)
    if (first === undefined || last === undefined) return
    const beyond = last.name.replace(/\d+$/, String(queues.length))
    if (await this.#hasQueue(beyond)) {
      throw mismatch(`queue ${beyond} exists, so there are more partitions at the broker`, queues.length)
    }
    const beforeLast = queues.at(-2) ?? last
    if (!(await this.#hasQueue(first.name)) || (await this.#hasQueue(last.name))) return
    // One queue alone may have been deleted; that is mended, not refused.
    if (beforeLast !== first && !(await this.#hasQueue(beforeLast.name))) {
      throw mismatch(
        `queue ${first.name} exists and ${beforeLast.name} does not, so there are fewer`,
        queues.length,
      )
    }
  }

  async #queue(queue: Named, args: Arguments, mode: 'create' | 'verify', report: Report): Promise<boolean> {
    const label = `queue ${queue.name}`
    const exists = await this.#hasQueue(queue.name)
    if (mode === 'verify' || queue.existing) {
      if (!exists) this.#reportMissing(label, queue, mode, report)
      return exists
    }
    await this.#declare(label, (channel) =>
      channel.assertQueue(queue.name, { durable: true, arguments: args }),
    )
    if (!exists) report.created.push(label)
    return true
  }

  #reportMissing(label: string, { existing }: Named, mode: 'create' | 'verify', report: Report): void {
    if (mode === 'verify') report.missing.push(label)
    else if (existing) {
      throw new MessagingError(
        'topology-missing',
        `The options name ${label} as an existing one, but it is not there; Waybill does not create what is named so`,
      )
    }
  }

  async #wholeLadder(ladder: Ladder, mode: 'create' | 'verify', report: Report): Promise<void> {
    if (mode === 'create') return this.#makeLevels(ladder, this.ladderLevels)
    for (let level = 0; level < this.ladderLevels; level += 1) {
      const name = levelName(ladder, level)
      if (!(await this.#exists((channel) => channel.checkExchange(name))))
        report.missing.push(`exchange ${name}`)
      if (!(await this.#hasQueue(name))) report.missing.push(`queue ${name}`)
    }
  }

  async #makeLevels(ladder: Ladder, height: number): Promise<void> {
    const state = this.#stateOf(ladder)
    if (state.height >= height) return
    const work = state.work.then(() => this.#addLevels(ladder, state, height))
    state.work = work.catch(() => undefined)
    await work
  }

  async #addLevels(ladder: Ladder, state: LadderState, height: number): Promise<void> {
    const levels = Array.from({ length: Math.max(0, height - state.height) }, (_, index) =>
      describeLevel(ladder, state.height + index),
    )
    if (levels.length === 0) return
    await this.#declare(`delay exchanges of ${ladder.prefix}`, async (channel) => {
      for (const { name, below, passPattern } of levels) {
        await channel.assertExchange(name, 'topic', { durable: true })
        if (below !== undefined) await channel.bindExchange(below, name, passPattern)
        else if (ladder.exit.kind === 'queue') await channel.bindQueue(ladder.exit.name, name, passPattern)
        else await channel.bindExchange(ladder.exit.name, name, passPattern)
      }
    })
    await inParallel(
      levels.map((level) => () => this.#makeDelayQueue(ladder, level)),
      parallelDeclarations,
    )
    state.height = Math.max(state.height, height)
  }

  async #makeDelayQueue(ladder: Ladder, { name, ttlMs, below, waitPattern }: Level): Promise<void> {
    const endsInQueue = below === undefined && ladder.exit.kind === 'queue'
    await this.#declare(`delay queue ${name}`, async (channel) => {
      await channel.assertQueue(name, {
        durable: true,
        arguments: {
          ...quorumArguments,
          'x-message-ttl': ttlMs,
          'x-dead-letter-exchange': below ?? (endsInQueue ? '' : ladder.exit.name),
          ...(endsInQueue && { 'x-dead-letter-routing-key': ladder.exit.name }),
          'x-dead-letter-strategy': 'at-least-once',
          // At-least-once dead-lettering silently becomes at-most-once without it (RabbitMQ documentation, "Quorum
          // Queues", "Dead Lettering").
          'x-overflow': 'reject-publish',
        },
      })
      await channel.bindQueue(name, name, waitPattern)
    })
  }

  #stateOf({ prefix }: Ladder): LadderState {
    let state = this.#ladders.get(prefix)
    if (state === undefined) {
      state = { height: 0, lookedAt: Number.NEGATIVE_INFINITY, work: Promise.resolve() }
      this.#ladders.set(prefix, state)
    }
    return state
  }

  #hasQueue(name: string): Promise<boolean> {
    return this.#exists((channel) => channel.checkQueue(name))
  }

  async #exists(check: (channel: Channel) => Promise<unknown>): Promise<boolean> {
    try {
      await this.#link.withChannel('Looking at the topology failed', check)
      return true
    } catch (error) {
      if (replyCodeOf(error) === 404) return false
      throw error
    }
  }

  #declare(label: string, declare: (channel: Channel) => Promise<unknown>): Promise<unknown> {
    return this.#link.withChannel(`Creating ${label} failed`, declare)
  }
}

function mismatch(found: string, wanted: number): MessagingError {
  return new MessagingError(
    'topology-mismatch',
    `The topic is defined with ${wanted} partitions, but ${found}. The number is fixed once a topic exists`,
  )
}

async function inParallel(tasks: readonly (() => Promise<unknown>)[], width: number): Promise<void> {
  const queue = tasks.values()
  const worker = async () => {
    for (const task of queue) await task()
  }
  await Promise.all(Array.from({ length: Math.min(width, tasks.length) }, worker))
}
