import {
  type GroupSpec,
  MessagingError,
  type TopicSpec,
  type Topology,
  type TopologyReport,
} from '@waybill/core/driver'
import { z } from 'zod'
import type { Clients } from '../connection/clients.ts'
import type { Options } from '../options.ts'
import { FanOut } from '../sending/fan-out.ts'
import type { Queue } from '../sending/queue.ts'
import { type QueueSpec, Queues } from './queues.ts'
import { Topics } from './topics.ts'

/** Where messages of a topic are sent to. */
export type Destination = Queue | FanOut

interface Known {
  readonly groups: ReadonlyMap<string, GroupSpec>
  readonly mode: 'create' | 'verify'
  readonly destination: Destination
  /** When the destination was last looked at. */
  readonly at: number
}

interface Found {
  readonly created: string[]
  readonly missing: string[]
}

/** How long sends go straight to a single queue before it is looked whether a topic has been put before it. */
const lookAgainMs = 30_000

/** Core's topics carry the groups that they were declared with. */
const declarationSchema = z.looseObject({ groups: z.array(z.looseObject({ name: z.string() })) })

/** What exists at the service, and what has to. */
export class ServiceTopology {
  readonly queues: Queues
  readonly #topics: Topics
  readonly #options: Options
  readonly #now: () => number
  readonly #known = new Map<string, Known>()
  readonly #looking = new Set<string>()

  constructor(clients: Clients, options: Options, now: () => number) {
    this.queues = new Queues(clients, options)
    this.#topics = new Topics(clients, options)
    this.#options = options
    this.#now = now
  }

  async apply({ topics }: Topology, mode: 'create' | 'verify'): Promise<TopologyReport> {
    const found: Found = { created: [], missing: [] }
    for (const { topic, groups } of topics) await this.#applyTopic(topic, groups, mode, found)
    return found
  }

  /** Where to send to. Without `apply` (core's `provision: 'none'`) it is looked for. */
  async destination(topic: TopicSpec): Promise<Destination> {
    const known = this.#known.get(topic.name)
    if (known !== undefined) {
      const isSettled = known.destination instanceof FanOut || this.#options.fanOut === 'never'
      if (!isSettled && known.at + lookAgainMs < this.#now()) void this.#lookAgain(topic, known)
      return known.destination
    }
    const groups = (declaredGroups(topic) ?? []).map(
      (name): GroupSpec => ({ name, types: ['#'], wishes: [], from: 'latest' }),
    )
    const found: Found = { created: [], missing: [] }
    await this.#applyTopic(topic, groups, 'verify', found)
    const destination = this.#known.get(topic.name)?.destination
    if (destination !== undefined) return destination
    const message = `Topic ${topic.name} has no place at the service; missing: ${found.missing.join(', ')}`
    throw new MessagingError('topology-missing', message, { fate: 'not-sent' })
  }

  /** The service said that something of the topic is missing. */
  forget(topic: TopicSpec): void {
    for (const group of this.#known.get(topic.name)?.groups.keys() ?? []) this.queues.forget(topic, group)
    this.#known.delete(topic.name)
  }

  async #applyTopic(
    topic: TopicSpec,
    asked: readonly GroupSpec[],
    mode: Known['mode'],
    found: Found,
  ): Promise<void> {
    const groups = new Map(this.#known.get(topic.name)?.groups)
    for (const group of asked) groups.set(group.name, group)
    // Asked of the service each time: it is asked because something was lost, perhaps a queue.
    for (const group of groups.keys()) this.queues.forget(topic, group)
    const queues = new Map<GroupSpec, Queue>()
    await Promise.all(
      [...groups.values()].map(async (group) => {
        const queue = await this.#applyGroup(topic, group.name, mode, found)
        if (queue !== undefined) queues.set(group, queue)
      }),
    )
    const destination = await this.#destinationOf(topic, groups, queues, mode, found)
    if (destination === undefined) this.#known.delete(topic.name)
    else this.#know(topic, { groups, mode, destination, at: this.#now() })
  }

  /** Keeps what another `apply` of the topic, which ran meanwhile, has found: its groups, and a topic of SNS. */
  #know(topic: TopicSpec, found: Known): void {
    const meanwhile = this.#known.get(topic.name)
    const isOvertaken = meanwhile?.destination instanceof FanOut && !(found.destination instanceof FanOut)
    this.#known.set(topic.name, {
      ...found,
      groups: new Map([...(meanwhile?.groups ?? []), ...found.groups]),
      destination: isOvertaken ? meanwhile.destination : found.destination,
    })
  }

  async #applyGroup(
    topic: TopicSpec,
    group: string,
    mode: Known['mode'],
    found: Found,
  ): Promise<Queue | undefined> {
    const dead: QueueSpec = { topic, group, dead: true }
    const live: QueueSpec = { topic, group, dead: false }
    const [foundDead, foundLive] = await Promise.all([this.queues.find(dead), this.queues.find(live)])
    const deadLetters = foundDead ?? (await this.#makeQueue(dead, undefined, mode, found))
    const queue = foundLive ?? (await this.#makeQueue(live, deadLetters, mode, found))
    if (queue !== undefined && deadLetters !== undefined) await this.queues.check(queue, deadLetters, topic)
    return queue
  }

  async #makeQueue(
    spec: QueueSpec,
    deadLetters: Queue | undefined,
    mode: Known['mode'],
    { created, missing }: Found,
  ): Promise<Queue | undefined> {
    const what = `queue ${this.queues.nameOf(spec)}`
    if (mode === 'verify') {
      missing.push(what)
      return undefined
    }
    created.push(what)
    return this.queues.create(spec, deadLetters)
  }

  async #destinationOf(
    topic: TopicSpec,
    groups: ReadonlyMap<string, GroupSpec>,
    queues: ReadonlyMap<GroupSpec, Queue>,
    mode: Known['mode'],
    found: Found,
  ): Promise<Destination | undefined> {
    const [first] = queues.values()
    const declared = new Set(declaredGroups(topic) ?? groups.keys())
    const isSingle = declared.size === 1 && [...groups.keys()].every((name) => declared.has(name))
    const { fanOut } = this.#options
    if (fanOut === 'never') {
      if (isSingle) return first
      const message = `Topic ${topic.name} has not exactly one declared group, which takes SNS, and fanOut is 'never'`
      throw new MessagingError('unsupported', message, { fate: 'not-sent' })
    }
    let target = await this.#topics.find(topic, first)
    if (target === undefined && isSingle && fanOut === 'auto') return first
    if (target === undefined) {
      const what = `topic ${this.#topics.nameOf(topic)}`
      if (mode === 'verify') {
        found.missing.push(what)
        return undefined
      }
      target = await this.#topics.create(topic)
      found.created.push(what)
    }
    for (const [group, queue] of queues) await this.#connect(target, queue, group, mode, found)
    return target
  }

  async #connect(
    topic: FanOut,
    queue: Queue,
    group: GroupSpec,
    mode: Known['mode'],
    found: Found,
  ): Promise<void> {
    // A subscription outlives its queue: one that was made again has no policy, and would silently get nothing.
    if (mode === 'create') await this.queues.admit(queue, topic.arn)
    if (await this.#widen(topic, queue, group, mode)) return
    const what = `subscription of queue ${queue.name} to topic ${topic.name}`
    if (mode === 'verify') {
      found.missing.push(what)
      return
    }
    try {
      await this.#topics.subscribe(topic, queue, group.types)
    } catch (error) {
      // SNS refuses a second subscription with another filter, such as somebody else's who was faster.
      if (await this.#widen(topic, queue, group, mode)) return
      throw error
    }
    found.created.push(what)
  }

  /** False where there is no subscription yet. */
  async #widen(topic: FanOut, queue: Queue, { types }: GroupSpec, mode: Known['mode']): Promise<boolean> {
    const subscription = await this.#topics.subscription(topic, queue)
    if (subscription === undefined) return false
    await this.#topics.widen(subscription, queue, types, mode === 'create')
    return true
  }

  async #lookAgain(topic: TopicSpec, known: Known): Promise<void> {
    if (this.#looking.has(topic.name)) return
    this.#looking.add(topic.name)
    try {
      await this.#applyTopic(topic, [], known.mode, { created: [], missing: [] })
    } catch {
      // Sends go on as before, and tell what is wrong if it concerns them.
      this.#known.set(topic.name, { ...known, at: this.#now() })
    } finally {
      this.#looking.delete(topic.name)
    }
  }
}

function declaredGroups(topic: TopicSpec): readonly string[] | undefined {
  const parsed = declarationSchema.safeParse(topic)
  return parsed.success ? parsed.data.groups.map(({ name }) => name) : undefined
}
