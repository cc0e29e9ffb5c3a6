import {
  type Administration,
  type Capabilities,
  type DeadLetterStore,
  type Driver,
  type DriverContext,
  type DriverHealth,
  type GroupStats,
  MessagingError,
  type OutboundMessage,
  type Outcome,
  type SeekPosition,
  type Subscription,
  type SubscriptionRequest,
  type TopicSpec,
  type Topology,
  type TopologyReport,
} from '@waybill/core/driver'
import { bounded } from '@waybill/core/driver-kit'
import type { KafkaNative } from './client/native.ts'
import { LentGateway } from './connection/lent-gateway.ts'
import { KafkaDeadLetters } from './dead-letters/dead-letters.ts'
import { toConnectError, toDriverError } from './errors.ts'
import type { KafkaSettings } from './options.ts'
import type { Legacy } from './receiving/handover.ts'
import { KafkaSubscription } from './receiving/subscription.ts'
import { Publisher } from './sending/publisher.ts'
import { groupStats, seekGroup } from './settling/groups.ts'
import { KafkaAdministration } from './topology/administration.ts'
import { type Send, TopicBook } from './topology/topic-book.ts'
import { applyTopology, ensureWanted, followPartitions } from './topology/topology.ts'
import { toRecord } from './wire/messages.ts'
import { broadcastGroupId, groupNames, mainTopic } from './wire/names.ts'
import { batchBytes } from './wire/record-limits.ts'

const healthTimeoutMs = 5000
// A large topology on a slow cluster; each step has bounds of its own.
const provisioningTimeoutMs = 120_000
// A due message waits for a turn of the event loop, and in a delay topic for the answer to a fetch.
const granularityMs = 250
const joinMs = 3000
// kafkajs spends time that grows with the square of what goes to a partition.
const publishBatchSize = 500

export class KafkaDriver implements Driver {
  readonly name = 'kafka'
  readonly capabilities: Capabilities
  readonly administration: Administration
  readonly #settings: KafkaSettings
  readonly #context: DriverContext
  readonly #gateway: LentGateway
  readonly #publisher: Publisher
  /** Of its own, so that a topic that takes no copies holds up no sends. */
  readonly #copyist: Publisher
  readonly #approved = new Set<string>()
  readonly #books = new Map<string, TopicBook>()
  readonly #names = new WeakMap<TopicSpec, string>()
  readonly #told = new Set<string>()
  readonly #subscriptions = new Set<KafkaSubscription>()
  readonly #letters = new Map<string, KafkaDeadLetters>()
  readonly #legacies = new Map<string, Legacy>()
  #subscriptionCount = 0
  #closing: Promise<void> | undefined

  private constructor(settings: KafkaSettings, context: DriverContext) {
    this.#settings = settings
    this.#context = context
    this.capabilities = capabilitiesOf(settings)
    const { instance, emit } = context
    const warn = (message: string) => this.#warnOnce(message)
    this.#gateway = new LentGateway({
      settings,
      instance,
      warn,
      onConnected: () => emit({ type: 'connected' }),
      onDisconnected: (error) => emit({ type: 'disconnected', error }),
    })
    this.#publisher = new Publisher(settings, instance, warn)
    this.administration = new KafkaAdministration(this.#gateway.run, (topic) => this.#bookOf(topic))
    this.#copyist = new Publisher(settings, `${instance}-copies`, warn)
  }

  /** Connects. */
  static async open(settings: KafkaSettings, context: DriverContext): Promise<KafkaDriver> {
    const driver = new KafkaDriver(settings, context)
    const { signal } = context
    const aborted = Promise.withResolvers<never>()
    const onAbort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([driver.#gateway.run('Connecting', async () => {}), aborted.promise])
    } catch (error) {
      await driver.close()
      throw toConnectError(error, settings)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
    context.emit({ type: 'connected' })
    return driver
  }

  /** The signal ends the waiting at once, and the work after the step that is under way. */
  apply(topology: Topology, mode: 'create' | 'verify', signal?: AbortSignal): Promise<TopologyReport> {
    const { clock } = this.#context
    const applied = this.#apply(topology, mode, signal)
    return bounded(applied, { clock, timeoutMs: provisioningTimeoutMs, what: 'Provisioning', signal })
  }

  async #apply(
    topology: Topology,
    mode: 'create' | 'verify',
    signal: AbortSignal | undefined,
  ): Promise<TopologyReport> {
    ensureWanted(signal)
    const report = await this.#gateway.run('Provisioning', (gateway) =>
      applyTopology(gateway, topology, {
        settings: this.#settings,
        mode,
        approved: this.#approved,
        warn: (message) => this.#warnOnce(message),
        signal,
      }),
    )
    // A book that is missing, in `verify` mode, is in the report.
    if (report.missing.length > 0) return report
    for (const { topic, groups } of topology.topics) {
      ensureWanted(signal)
      if (groups.length > 0) await this.#bookOf(topic).add(topic, groups)
    }
    return report
  }

  publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    this.#ensureOpen()
    const now = this.#context.clock.now()
    const records = batch.map((message) => toRecord(message, now, this.#settings.mirrorAttributes))
    const topic = batch[0]?.topic
    if (topic === undefined) return Promise.resolve([])
    return this.#publisher.send(this.#nameOf(topic), records, { ordered: topic.ordered })
  }

  async subscribe(request: SubscriptionRequest): Promise<Subscription> {
    this.#ensureOpen()
    const { topic, group, broadcast } = request
    this.#subscriptionCount += 1
    const instance = `${this.#context.instance}-${this.#subscriptionCount}`
    const names = groupNames(topic, group.name)
    const groupId = broadcast ? broadcastGroupId(names.groupId, instance) : names.groupId
    if (broadcast) await this.#startBroadcast(names.main, groupId)
    const legacy: Legacy = this.#legacies.get(groupId) ?? {
      commits: new Map(),
      strays: new Set(),
      copies: new Set(),
    }
    if (!broadcast) this.#legacies.set(groupId, legacy)
    const subscription: KafkaSubscription = new KafkaSubscription(request, {
      settings: this.#settings,
      clock: this.#context.clock,
      publisher: this.#copyist,
      names,
      groupId,
      instance,
      holder: this.#context.instance,
      legacy,
      logsOf: (assignment) =>
        this.#gateway.run(`Looking at topic ${names.main}`, (gateway) => gateway.logs.ranges(assignment)),
      makeRoom: (name, bytes) => this.#makeRoom(name, bytes),
      hasChanged: (ids) =>
        this.#gateway.run(`Looking at topic ${names.main}`, async (gateway) => {
          if (topic.ordered && !broadcast) await followPartitions(gateway, names)
          const found = await gateway.topicIds([...ids.keys()])
          return [...ids].some(([name, id]) => id !== undefined && found.has(name) && found.get(name) !== id)
        }),
      warn: (message) => this.#context.emit({ type: 'warning', message }),
      onClosed: async () => {
        this.#subscriptions.delete(subscription)
        if (broadcast) await this.#endBroadcast(groupId)
      },
    })
    this.#subscriptions.add(subscription)
    await subscription.open()
    return subscription
  }

  deadLetters(topic: TopicSpec, group: string): DeadLetterStore {
    const names = groupNames(topic, group)
    let letters = this.#letters.get(names.dead)
    if (letters === undefined) {
      letters = new KafkaDeadLetters(
        this.#gateway.run,
        this.#copyist,
        (name, bytes) => this.#makeRoom(name, bytes),
        names,
        this.#context.clock,
      )
      this.#letters.set(names.dead, letters)
    }
    return letters
  }

  seek(topic: TopicSpec, group: string, position: SeekPosition): Promise<void> {
    return this.#gateway.run(`Moving group ${group} of topic ${topic.name}`, (gateway) =>
      seekGroup(gateway, topic, group, position),
    )
  }

  wanted(topic: TopicSpec, group: string, types: readonly string[]): Promise<readonly boolean[]> {
    return this.#bookOf(topic).wanted(group, types)
  }

  async stats(topic: TopicSpec, group: string): Promise<GroupStats> {
    const dead = await this.deadLetters(topic, group).count()
    const stats = await this.#gateway.run(`Looking at group ${group} of topic ${topic.name}`, (gateway) =>
      groupStats(gateway, topic, group, this.#context.clock.now()),
    )
    return { ...stats, dead }
  }

  async health(): Promise<DriverHealth> {
    const subscriptions = [...this.#subscriptions].map((subscription) => subscription.describe())
    try {
      const { promise, reject } = Promise.withResolvers<never>()
      const cancel = this.#context.clock.after(healthTimeoutMs, () =>
        reject(new MessagingError('timeout', `Kafka did not answer within ${healthTimeoutMs} ms`)),
      )
      const asked = this.#gateway.run('Looking at the cluster', (gateway) => gateway.describeCluster())
      const cluster = await Promise.race([asked, promise]).finally(cancel)
      return { status: 'up', details: { ...cluster, subscriptions } }
    } catch (thrown) {
      const error = toDriverError(thrown, 'Kafka cannot be reached')
      return { status: 'down', error, details: { brokers: this.#settings.addresses, subscriptions } }
    }
  }

  native(): KafkaNative {
    return {
      admin: this.#gateway.gateway?.admin,
      producer: this.#publisher.producer,
      consumers: [...this.#subscriptions].map(({ consumer }) => consumer),
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    await Promise.all([this.#publisher.close(), this.#copyist.close(), this.#gateway.close()])
  }

  #ensureOpen(): void {
    if (this.#closing !== undefined) throw new MessagingError('closed', 'The connection to Kafka is closed')
  }

  readonly #bookOf = ({ name }: Pick<TopicSpec, 'name'>): TopicBook => {
    let book = this.#books.get(name)
    if (book === undefined) {
      const send: Send = (topic, records) => this.#copyist.send(topic, records)
      book = new TopicBook(this.#gateway.run, send, { name })
      this.#books.set(name, book)
    }
    return book
  }

  #nameOf(topic: TopicSpec): string {
    let name = this.#names.get(topic)
    if (name === undefined) {
      name = mainTopic(topic)
      this.#names.set(topic, name)
    }
    return name
  }

  async #makeRoom(topic: string, bytes: number): Promise<boolean> {
    const limit = batchBytes(bytes)
    try {
      const isRaised = await this.#gateway.run(`Raising max.message.bytes of topic ${topic}`, (gateway) =>
        gateway.raiseBatchBytes(topic, limit),
      )
      const text = `Topic ${topic} now accepts batches of ${limit} bytes, so that it can hold copies of its source's messages`
      if (isRaised) this.#warnOnce(text)
      return isRaised
    } catch (error) {
      this.#warnOnce(
        toDriverError(error, `Topic ${topic} cannot hold copies of its source's messages`).message,
      )
      return false
    }
  }

  #warnOnce(message: string): void {
    if (this.#told.has(message)) return
    this.#told.add(message)
    this.#context.emit({ type: 'warning', message })
  }

  /** A broadcast group begins with what is sent from now on. */
  async #startBroadcast(topic: string, groupId: string): Promise<void> {
    await this.#gateway.run(`Starting group ${groupId}`, async (gateway) => {
      const ends = await gateway.logs.offsets(topic, 'latest')
      const partitions = [...ends].map(([partition, end]) => ({
        partition,
        offset: String(end),
        metadata: '',
      }))
      const coordinator = await gateway.coordinatorOf(groupId)
      await coordinator.commit([{ topic, partitions }])
    })
  }

  async #endBroadcast(groupId: string): Promise<void> {
    try {
      await this.#gateway.run(`Deleting group ${groupId}`, (gateway) => gateway.deleteGroup(groupId))
    } catch {
      // The broker forgets it in time (Kafka documentation, "Broker Configs", `offsets.retention.minutes`).
    }
  }
}

function capabilitiesOf(settings: KafkaSettings): Capabilities {
  return {
    ordered: true,
    delay: true,
    durableRetry: true,
    release: true,
    yieldsKeys: false,
    deadLetters: true,
    stats: true,
    changesFilters: true,
    keepsDeliveries: false,
    priority: false,
    broadcast: true,
    replay: true,
    seek: true,
    lease: false,
    countsCrashes: true,
    delayGranularityMs: granularityMs,
    // The broker waits for the session to end, then for the others to join.
    redeliveryMs: settings.sessionTimeout + 2 * settings.heartbeatInterval + joinMs,
    maxDelayMs: Number.POSITIVE_INFINITY,
    maxLeaseMs: Number.POSITIVE_INFINITY,
    maxPrefetch: Number.POSITIVE_INFINITY,
    maxMessageBytes: settings.maxMessageBytes,
    publishBatchSize,
    publishParallelism: 1,
  }
}
