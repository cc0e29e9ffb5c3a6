import { z } from 'zod'
import {
  type Adapter,
  type Administration,
  type Capabilities,
  type Driver,
  type DriverContext,
  MessagingError,
  matchesPattern,
  type OutboundMessage,
  type Outcome,
  parseOptions,
  type SeekPosition,
  type StoredDeadLetter,
  type Subscription,
  type SubscriptionRequest,
  type TopicSpec,
  type Topology,
  type TopologyReport,
} from '../driver.ts'
import { definedOtherwise } from '../driver-kit/trouble.ts'
import { newId } from '../lib/new-id.ts'
import { lazily } from '../lib/validation.ts'
import { MemoryBroker, type MemoryTopic } from './memory-broker.ts'
import type { MemoryGroup } from './memory-group.ts'
import { MemorySubscription } from './memory-subscription.ts'

export interface MemoryOptions {
  /** How many messages a topic keeps for groups that start at the earliest and for `seek`. Default: 10,000. */
  readonly retention?: number
  /** Default: 1 MiB. */
  readonly maxMessageBytes?: number
}

/** What `bus.native('memory')` gives on the memory driver. */
export interface MemoryNative {
  readonly broker: MemoryBroker
  /**
   * Puts any body on a topic, as a foreign producer would.
   *
   * ```ts
   * const body = new TextEncoder().encode('no CloudEvents event')
   * bus.native('memory').publishRaw('orders', { body, contentType: 'text/plain' })
   * ```
   */
  publishRaw(topic: string, message: RawMessage): void
}

export interface RawMessage {
  readonly body: Uint8Array
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly key?: string
}

const optionsSchema = lazily(() =>
  z
    .strictObject({
      retention: z.int().min(0).default(10_000),
      maxMessageBytes: z
        .int()
        .min(1024)
        .default(1024 * 1024),
    })
    .prefault({}),
)

// Named brokers, so that several buses in one process can share one. Each ends with its last bus.
const named = new Map<string, { readonly broker: MemoryBroker; users: number }>()

const done: Outcome = { ok: true }

/**
 * The adapter for `memory:` URLs: everything lives in this process and ends with it. For tests and trials. `connect` finds it
 * by the URL, so it is needed only to run the conformance suite or to wrap it.
 *
 * ```ts
 * const bus = await connect({ url: 'memory:', adapter: memory() }) // the same as without `adapter`
 * const shared = await connect({ url: 'memory:shop' }) // shared by this process's buses of that name
 * ```
 */
export function memory(): Adapter {
  return {
    name: 'memory',
    schemes: ['memory'],
    contractVersion: 1,
    async connect({ path, hosts }, { native, clock, emit }: DriverContext) {
      const options = parseOptions(optionsSchema(), native, 'memory options', 'native.memory')
      // `memory://NAME` is an easy slip for `memory:NAME`, and would silently be private.
      const name = path ?? hosts[0]?.host
      const shared = (name === undefined ? undefined : named.get(name)) ?? {
        broker: new MemoryBroker(clock, options.retention),
        users: 0,
      }
      shared.users += 1
      if (name !== undefined) named.set(name, shared)
      const onClose = () => {
        shared.users -= 1
        if (shared.users > 0) return
        shared.broker.close()
        if (name !== undefined) named.delete(name)
      }
      emit({ type: 'connected' })
      return new MemoryDriver(shared.broker, options.maxMessageBytes, onClose)
    },
  }
}

class MemoryDriver implements Driver {
  readonly name = 'memory'
  readonly capabilities: Capabilities
  readonly #broker: MemoryBroker
  readonly #onClose: () => void
  readonly #subscriptions = new Set<MemorySubscription>()
  #closed = false

  constructor(broker: MemoryBroker, maxMessageBytes: number, onClose: () => void) {
    this.#broker = broker
    this.#onClose = onClose
    this.capabilities = {
      ordered: true,
      delay: true,
      durableRetry: true,
      release: true,
      yieldsKeys: true,
      deadLetters: true,
      stats: true,
      changesFilters: true,
      keepsDeliveries: true,
      priority: true,
      broadcast: true,
      replay: true,
      seek: true,
      lease: true,
      countsCrashes: true,
      // Timers may be late by their resolution and by what else the process does.
      delayGranularityMs: 20,
      redeliveryMs: 100,
      maxDelayMs: Number.POSITIVE_INFINITY,
      maxLeaseMs: Number.POSITIVE_INFINITY,
      maxPrefetch: Number.POSITIVE_INFINITY,
      maxMessageBytes,
      publishBatchSize: 1000,
      publishParallelism: 1,
    }
  }

  async apply({ topics }: Topology, mode: 'create' | 'verify'): Promise<TopologyReport> {
    this.#ensureOpen()
    const created: string[] = []
    const missing: string[] = []
    for (const { topic: spec, groups } of topics) {
      const known = this.#broker.topics.get(spec.name)
      if (known === undefined) (mode === 'create' ? created : missing).push(`topic ${spec.name}`)
      else if (known.ordered !== spec.ordered) throw mismatch(spec, known)
      const topic = known ?? (mode === 'create' ? this.#broker.topic(spec.name, spec.ordered) : undefined)
      for (const { name, from, wishes } of groups) {
        const existing = topic?.groups.get(name)
        if (existing !== undefined) {
          if (mode === 'create') existing.wish(wishes)
          continue
        }
        ;(mode === 'create' ? created : missing).push(`group ${name} of topic ${spec.name}`)
        if (mode === 'verify' || topic === undefined) continue
        const group = this.#broker.createGroup(topic)
        group.wish(wishes)
        topic.groups.set(name, group)
        if (from === 'earliest') group.restart(topic.since(0))
      }
    }
    return { created, missing }
  }

  async publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    this.#ensureOpen()
    const { clock } = this.#broker
    const time = clock.now()
    return batch.map(({ topic: { name }, body, contentType: type, attributes, headers, key, delayMs }) => {
      const topic = this.#broker.topics.get(name)
      if (topic === undefined) return { ok: false, error: noTopic(name) }
      const all: Record<string, string> = { ...headers }
      for (const attribute in attributes) all[`ce-${attribute}`] = attributes[attribute] ?? ''
      const contentType = type === '' ? undefined : type
      const dueAt = delayMs > 0 ? clock.monotonic() + delayMs : undefined
      topic.publish({ body, contentType, headers: all, key, time, ...(dueAt !== undefined && { dueAt }) })
      return done
    })
  }

  async subscribe({
    topic: { name },
    group,
    leaseMs,
    broadcast,
  }: SubscriptionRequest): Promise<Subscription> {
    this.#ensureOpen()
    const topic = this.#topic(name)
    const queue = broadcast ? this.#broker.createGroup(topic) : this.#group(name, group.name)
    if (broadcast) topic.instances.add(queue)
    const subscription = new MemorySubscription(this.#broker.clock, queue, leaseMs, () => {
      this.#subscriptions.delete(subscription)
      if (topic.instances.delete(queue)) queue.close()
    })
    this.#subscriptions.add(subscription)
    return subscription
  }

  deadLetters({ name }: TopicSpec, group: string) {
    const queue = () => {
      this.#ensureOpen()
      return this.#group(name, group)
    }
    const idsOf = (ids: readonly string[] | 'all') => (ids === 'all' ? [...queue().dead.keys()] : ids)
    return {
      count: async () => queue().dead.size,
      list: async function* () {
        yield* [...queue().dead.values()]
      },
      replay: async (ids: readonly string[] | 'all') => queue().replay(idsOf(ids)),
      discard: async (ids: readonly string[] | 'all') =>
        idsOf(ids).filter((id) => queue().dead.delete(id)).length,
      add: async (letters: readonly StoredDeadLetter[]) => {
        queue().addLetters(letters)
        return letters.map(() => done)
      },
    }
  }

  async seek({ name }: TopicSpec, group: string, position: SeekPosition): Promise<void> {
    this.#ensureOpen()
    const topic = this.#topic(name)
    this.#group(name, group).restart(messagesFrom(topic, position))
  }

  async wanted({ name }: TopicSpec, group: string, types: readonly string[]): Promise<readonly boolean[]> {
    this.#ensureOpen()
    const { wishes } = this.#group(name, group)
    return types.map((type) => [...wishes].some((pattern) => matchesPattern(pattern, type)))
  }

  async stats({ name }: TopicSpec, group: string) {
    this.#ensureOpen()
    const { waiting, inFlight, delayed, dead, oldestWaitingMs } = this.#group(name, group)
    return { waiting, inFlight, delayed, dead: dead.size, oldestWaitingMs }
  }

  readonly administration: Administration = {
    listTopics: async () =>
      [...this.#broker.topics].map(([name, { ordered }]) => ({ name, ordered, partitions: 1, native: {} })),
    listGroups: async ({ name }) => [...this.#topic(name).groups.keys()],
    deleteTopic: async ({ name }) => this.#broker.deleteTopic(name),
    deleteGroup: async ({ name }, group) => this.#broker.topics.get(name)?.deleteGroup(group),
    cancelDelayed: async ({ name }, id) => this.#topic(name).cancelDelayed(id),
  }

  async health() {
    return {
      status: this.#closed ? ('down' as const) : ('up' as const),
      time: this.#broker.clock.now(),
      details: { topics: this.#broker.topics.size },
    }
  }

  native(): MemoryNative {
    return {
      broker: this.#broker,
      publishRaw: (topic, { body, contentType, headers = {}, key }) => {
        const time = this.#broker.clock.now()
        this.#topic(topic).publish({ body, contentType, headers, key, time, transportId: newId() })
      },
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    this.#onClose()
  }

  #topic(name: string): MemoryTopic {
    const topic = this.#broker.topics.get(name)
    if (topic === undefined) throw noTopic(name)
    return topic
  }

  #group(topic: string, name: string): MemoryGroup {
    const group = this.#topic(topic).groups.get(name)
    if (group === undefined) {
      throw new MessagingError(
        'topology-missing',
        `Group ${name} of topic ${topic} does not exist; start a consumer or provision it`,
      )
    }
    return group
  }

  #ensureOpen(): void {
    if (this.#closed) throw new MessagingError('closed', 'The memory driver is closed')
  }
}

function messagesFrom(topic: MemoryTopic, position: SeekPosition) {
  switch (position.to) {
    case 'earliest':
      return topic.since(0)
    case 'latest':
      return []
    case 'time':
      return topic.sinceTime(position.time)
    case 'offset':
      return topic.since(Number(position.offset))
  }
}

function noTopic(name: string): MessagingError {
  return new MessagingError('topology-missing', `Topic ${name} does not exist`, { fate: 'not-sent' })
}

function mismatch({ name, ordered }: TopicSpec, topic: MemoryTopic): MessagingError {
  const kind = (isOrdered: boolean) => (isOrdered ? 'ordered' : 'not ordered')
  return definedOtherwise({ what: `Topic ${name}`, ours: kind(ordered), theirs: kind(topic.ordered) })
}
