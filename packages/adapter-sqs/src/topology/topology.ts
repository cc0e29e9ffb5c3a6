import {
  type Clock,
  type GroupSpec,
  MessagingError,
  sleep,
  type TopicSpec,
  type Topology,
  type TopologyReport,
} from '@waybill/core/driver'
import { z } from 'zod'
import type { Connection } from '../connection/connection.ts'
import { Queue } from '../connection/queue.ts'
import type { SnsTopic } from '../connection/sns-topic.ts'
import type { SqsSettings } from '../options.ts'
import { isWished, wishesIn, wishTags } from '../wire/wish-tags.ts'
import { type QueueSpec, Queues } from './queues.ts'
import { Topics } from './topics.ts'

type Mode = 'create' | 'verify'
type Destination = Queue | SnsTopic

interface Known {
  readonly groups: ReadonlyMap<string, GroupSpec>
  readonly mode: Mode
  readonly destination: Destination
  /** When the destination was last looked at. */
  at: number
}

/** The queues of a group, as far as they exist. */
interface Place {
  readonly group: GroupSpec
  readonly queue: Queue | undefined
  readonly deadLetters: Queue | undefined
  /** Made by this very call, so that nobody has sent to it before. */
  readonly isNew: boolean
}

/** One call of `apply` for a topic. */
interface Run {
  readonly topic: TopicSpec
  readonly mode: Mode
  readonly created: string[]
  readonly missing: string[]
  readonly signal: AbortSignal | undefined
}

/** Core's topics carry the groups that they were declared with. */
const declarationSchema = z.looseObject({ groups: z.array(z.looseObject({ name: z.string() })) })

/**
 * What exists at the service, and what has to.
 *
 * As long as a topic has one group, sends go straight to that group's queue, which costs half and allows larger messages. A
 * second group puts an SNS topic before all queues, no matter which program declares it. Programs that still send straight to the first
 * queue look for that topic every `fanOutRefresh`, and the second group is only ready when that time is over, so it misses
 * nothing that is sent afterwards.
 */
export class ServiceTopology {
  readonly queues: Queues
  readonly topics: Topics
  readonly #settings: SqsSettings
  readonly #clock: Clock
  readonly #known = new Map<string, Known>()
  readonly #looking = new Map<string, Promise<void>>()

  constructor(connection: Connection, settings: SqsSettings, clock: Clock) {
    this.queues = new Queues(connection, settings)
    this.topics = new Topics(connection, settings)
    this.#settings = settings
    this.#clock = clock
  }

  async apply({ topics }: Topology, mode: Mode, signal?: AbortSignal): Promise<TopologyReport> {
    const created: string[] = []
    const missing: string[] = []
    for (const { topic, groups } of topics)
      await this.#applyTopic({ topic, mode, created, missing, signal }, groups)
    return { created, missing }
  }

  /** Where to send to. Without `apply` (core's `provision: 'none'`) it is looked for. */
  async destination(topic: TopicSpec): Promise<Destination> {
    const known = this.#known.get(topic.name)
    if (known !== undefined) {
      await this.#lookAgain(topic, known)
      return this.#known.get(topic.name)?.destination ?? known.destination
    }
    const groups = (declaredGroups(topic) ?? []).map(
      (name): GroupSpec => ({ name, types: ['#'], wishes: [], from: 'latest' }),
    )
    const missing: string[] = []
    await this.#applyTopic({ topic, mode: 'verify', created: [], missing, signal: undefined }, groups)
    const destination = this.#known.get(topic.name)?.destination
    if (destination !== undefined) return destination
    const message = `Topic ${topic.name} does not exist at the service; missing: ${missing.join(', ')}`
    throw new MessagingError('topology-missing', message, { fate: 'not-sent' })
  }

  async wanted(topic: TopicSpec, group: string, types: readonly string[]): Promise<readonly boolean[]> {
    const queue = await this.queues.get({ topic, group, dead: false })
    const wishes = wishesIn(await queue.tags())
    return types.map((type) => isWished(wishes, type))
  }

  /** The topic of SNS, where there is one. */
  async fanOutOf(topic: TopicSpec): Promise<SnsTopic | undefined> {
    return this.#settings.fanOut === 'never' ? undefined : this.topics.find(topic, undefined)
  }

  /** The service said that something of the topic is missing. */
  forget(topic: TopicSpec): void {
    for (const group of this.#known.get(topic.name)?.groups.keys() ?? []) this.queues.forget(topic, group)
    this.#known.delete(topic.name)
  }

  async #applyTopic(run: Run, asked: readonly GroupSpec[]): Promise<void> {
    const { topic, mode } = run
    const groups = new Map(this.#known.get(topic.name)?.groups)
    for (const group of asked) groups.set(group.name, group)
    // Asked of the service each time: it is asked because something was lost, perhaps a queue.
    for (const group of groups.keys()) this.queues.forget(topic, group)
    const places = await Promise.all([...groups.values()].map((group) => this.#applyGroup(run, group)))
    const destination = await this.#applyDestination(run, places)
    if (destination === undefined) this.#known.delete(topic.name)
    else this.#know(topic, { groups, mode, destination, at: this.#clock.monotonic() })
  }

  /** Keeps what a concurrent `apply` of the topic has found: its groups and an SNS topic. */
  #know(topic: TopicSpec, found: Known): void {
    const meanwhile = this.#known.get(topic.name)
    const isOvertaken =
      meanwhile !== undefined &&
      !(meanwhile.destination instanceof Queue) &&
      found.destination instanceof Queue
    this.#known.set(topic.name, {
      ...found,
      groups: new Map([...(meanwhile?.groups ?? []), ...found.groups]),
      destination: isOvertaken ? meanwhile.destination : found.destination,
    })
  }

  async #applyGroup(run: Run, group: GroupSpec): Promise<Place> {
    refuseIfAborted(run)
    const { topic } = run
    const dead: QueueSpec = { topic, group: group.name, dead: true }
    const live: QueueSpec = { topic, group: group.name, dead: false }
    const [foundDead, foundLive] = await Promise.all([this.queues.find(dead), this.queues.find(live)])
    const deadLetters = foundDead ?? (await this.#makeQueue(dead, undefined, run))
    const queue = foundLive ?? (await this.#makeQueue(live, deadLetters, run))
    if (queue !== undefined && deadLetters !== undefined) await this.queues.check(queue, deadLetters, topic)
    if (queue !== undefined) await this.#keepWishes(queue, group, this.queues.isNear(live), run)
    return { group, queue, deadLetters, isNew: foundLive === undefined }
  }

  /** What nobody has ever tagged keeps everything, so there is nothing to miss. */
  async #keepWishes(queue: Queue, { name, wishes }: GroupSpec, isNear: boolean, run: Run): Promise<void> {
    if (wishes.length === 0) return
    try {
      const tags = await queue.tags()
      const missing = wishTags(tags, wishes)
      if (Object.keys(missing).length === 0) return
      if (run.mode === 'create') await queue.tag(missing)
      else if (wishesIn(tags) !== undefined)
        run.missing.push(`wishes of group ${name} in the tags of queue ${queue.name}`)
    } catch (error) {
      // Tags of another account's queue cannot be had (Amazon SQS API Reference, TagQueue).
      if (isNear || !MessagingError.is(error) || error.code !== 'access-denied') throw error
    }
  }

  async #makeQueue(
    spec: QueueSpec,
    deadLetters: Queue | undefined,
    { mode, created, missing }: Run,
  ): Promise<Queue | undefined> {
    const what = `queue ${this.queues.nameOf(spec)}`
    if (mode === 'verify') {
      missing.push(what)
      return undefined
    }
    created.push(what)
    return this.queues.create(spec, deadLetters)
  }

  async #applyDestination(run: Run, places: readonly Place[]): Promise<Destination | undefined> {
    refuseIfAborted(run)
    const { topic, mode } = run
    const { fanOut } = this.#settings
    const declared = new Set(declaredGroups(topic) ?? places.map(({ group }) => group.name))
    const isSingle = declared.size === 1 && places.every(({ group }) => declared.has(group.name))
    const [first] = places.flatMap(({ queue }) => queue ?? [])
    const near = places.find(({ group }) =>
      this.queues.isNear({ topic, group: group.name, dead: false }),
    )?.queue
    let target = fanOut === 'never' ? undefined : await this.topics.find(topic, near)
    const others = target === undefined && mode === 'create' ? await this.#otherPlaces(topic, places) : []
    if (fanOut === 'never') {
      if (isSingle && others.length === 0) return first
      throw notSingle(topic, others)
    }
    if (target === undefined && isSingle && others.length === 0 && fanOut === 'auto') return first
    if (target === undefined) {
      const what = `topic ${this.topics.nameOf(topic)}`
      if (mode === 'verify') {
        run.missing.push(what)
        return undefined
      }
      target = await this.topics.create(topic)
      run.created.push(what)
    }
    const all = [...places, ...others]
    const connected = await Promise.all(all.map((place) => this.#connect(run, target, place)))
    const isLate = connected.some(Boolean) && all.some(({ isNew }) => !isNew)
    if (isLate && fanOut === 'auto') await sleep(this.#clock, this.#settings.fanOutRefresh, run.signal)
    return target
  }

  /** The queues of groups that other programs have declared. */
  async #otherPlaces(topic: TopicSpec, places: readonly Place[]): Promise<readonly Place[]> {
    const own = new Set(places.map(({ group }) => group.name))
    const listed = (await this.queues.list(topic.name)).filter(({ group }) => !own.has(group))
    return listed.flatMap(({ queue, group, dead }) => {
      if (dead || queue.isFifo !== topic.ordered) return []
      const deadLetters = listed.find((each) => each.dead && each.group === group)?.queue
      // It says itself what it wants, when it is applied next; until then it gets everything.
      const spec: GroupSpec = { name: group, types: ['#'], wishes: [], from: 'latest' }
      return [{ group: spec, queue, deadLetters, isNew: false }]
    })
  }

  /** True where a subscription was made. */
  async #connect(run: Run, topic: SnsTopic, { group, queue, deadLetters }: Place): Promise<boolean> {
    if (queue === undefined) return false
    // A subscription outlives its queue: a recreated queue has no policy and would silently get nothing.
    if (run.mode === 'create') {
      await this.queues.admit(queue, topic.arn)
      if (deadLetters !== undefined) await this.queues.admit(deadLetters, topic.arn)
    }
    const widen = async (): Promise<boolean> => {
      const subscription = await this.topics.subscription(topic, queue)
      if (subscription === undefined) return false
      await this.topics.widen({ subscription, topic, queue, deadLetters }, group.types, run.mode === 'create')
      return true
    }
    if (await widen()) return false
    const what = `subscription of queue ${queue.name} to topic ${topic.name}`
    if (run.mode === 'verify') {
      run.missing.push(what)
      return false
    }
    try {
      await this.topics.subscribe(topic, queue, group.types, deadLetters)
    } catch (error) {
      // SNS refuses a second subscription with another filter, such as somebody else's who was faster.
      if (await widen()) return false
      throw error
    }
    run.created.push(what)
    return true
  }

  /** A sender that sends directly to a queue checks now and then whether a topic has been put before it. */
  async #lookAgain(topic: TopicSpec, known: Known): Promise<void> {
    const { fanOut, fanOutRefresh } = this.#settings
    if (fanOut !== 'auto' || !(known.destination instanceof Queue)) return
    if (known.at + fanOutRefresh > this.#clock.monotonic()) return
    const looking =
      this.#looking.get(topic.name) ??
      this.#look(topic, known, known.destination).finally(() => this.#looking.delete(topic.name))
    this.#looking.set(topic.name, looking)
    await looking
  }

  async #look(topic: TopicSpec, known: Known, queue: Queue): Promise<void> {
    try {
      const isFanned = (await this.topics.find(topic, queue)) !== undefined
      if (isFanned) {
        const run = { topic, mode: known.mode, created: [], missing: [], signal: undefined }
        await this.#applyTopic(run, [])
      } else known.at = this.#clock.monotonic()
    } catch {
      // While SNS cannot be asked nobody can put a topic before the queue either; the next send asks again.
    }
  }
}

function declaredGroups(topic: TopicSpec): readonly string[] | undefined {
  const parsed = declarationSchema.safeParse(topic)
  return parsed.success ? parsed.data.groups.map(({ name }) => name) : undefined
}

function notSingle({ name }: TopicSpec, others: readonly Place[]): MessagingError {
  const [other] = others
  const message =
    other === undefined
      ? `Topic ${name} does not have exactly one declared group, which requires SNS, but fanOut is 'never'`
      : `Topic ${name} has another group already (${other.group.name}, queue ${other.queue?.name}), which requires SNS, but fanOut is 'never': connect with fanOut 'auto', or delete that queue if the group is gone`
  return new MessagingError('unsupported', message, { fate: 'not-sent' })
}

function refuseIfAborted({ topic, signal }: Run): void {
  if (signal?.aborted) throw new MessagingError('aborted', `Applying topic ${topic.name} was aborted`)
}
