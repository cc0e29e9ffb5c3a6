import {
  type BrokerUrl,
  type Capabilities,
  type DeadLetterStore,
  type Driver,
  type DriverContext,
  type DriverHealth,
  type GroupStats,
  type OutboundMessage,
  type Outcome,
  type SeekPosition,
  type Subscription,
  type SubscriptionRequest,
  type TopicSpec,
  type Topology,
  type TopologyReport,
  toMessagingError,
} from '@waybill/core/driver'
import { type Client, makeClient } from './connection/clients.ts'
import { type ConnectionSettings, SharedConnection } from './connection/connection.ts'
import { NoticeSubscription, unsupportedOnNotices } from './connection/notices.ts'
import { Reader } from './connection/reader.ts'
import { evictionWarning, parseServerInfo, type ServerInfo } from './connection/server-info.ts'
import { RedisDeadLetters } from './dead-letters/dead-letters.ts'
import { parseSettings, type Settings } from './options.ts'
import { BroadcastSubscription } from './receiving/broadcast.ts'
import { PartitionSubscription } from './receiving/partitions.ts'
import { GroupSubscription } from './receiving/subscription.ts'
import { Upkeep } from './receiving/upkeep.ts'
import { allScripts } from './scripts/all-scripts.ts'
import { Publisher } from './sending/publisher.ts'
import { groupStats } from './topology/group-stats.ts'
import { type KnownTopic, Topics } from './topology/topics.ts'
import { apply } from './topology/topology.ts'
import { consumerName, groupKeys, idBefore } from './wire/messages.ts'

export class RedisDriver implements Driver {
  readonly name = 'redis'
  readonly capabilities: Capabilities
  readonly #settings: Settings
  readonly #context: DriverContext
  readonly #connections: ConnectionSettings
  readonly #shared: SharedConnection
  readonly #waiting: SharedConnection
  readonly #topics: Topics
  readonly #publisher: Publisher
  readonly #subscriptions = new Set<Subscription>()
  #subscribed = 0
  #closing: Promise<void> | undefined

  private constructor(settings: Settings, context: DriverContext) {
    this.#settings = settings
    this.#context = context
    this.#connections = {
      makeClient: () => makeClient(settings, context.instance),
      connectTimeoutMs: settings.connectTimeout,
      clock: context.clock,
      scripts: allScripts,
    }
    this.#shared = new SharedConnection(this.#connections, context.emit)
    // Opened by the first send that waits for replicas. Its loss is told to those who send.
    this.#waiting = new SharedConnection(this.#connections, () => {})
    this.#topics = new Topics(settings, { clock: context.clock, run: (...call) => this.#shared.run(...call) })
    this.#publisher = new Publisher({
      shared: this.#shared,
      waiting: this.#waiting,
      topics: this.#topics,
      mirrorAttributes: settings.mirrorAttributes,
    })
    this.capabilities = {
      ordered: true,
      delay: true,
      durableRetry: true,
      release: true,
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
      // A member that waits looks this often; the rest is for the way there and back.
      delayGranularityMs: settings.pollInterval + 250,
      // Gone connections are looked for every second; a cluster tells nothing of them, so there leases must end.
      redeliveryMs: settings.cluster ? 35_000 : 3000,
      maxDelayMs: Number.POSITIVE_INFINITY,
      maxLeaseMs: Number.POSITIVE_INFINITY,
      maxPrefetch: Number.POSITIVE_INFINITY,
      maxMessageBytes: settings.maxMessageBytes,
      publishBatchSize: 128,
      // The server has something to do while the client prepares the next one.
      publishParallelism: 2,
    }
  }

  static async connect(url: BrokerUrl, context: DriverContext): Promise<RedisDriver> {
    const driver = new RedisDriver(parseSettings(url, context.native), context)
    // Closing ends what is under way.
    const onAbort = () => void driver.close()
    context.signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (context.signal.aborted) onAbort()
      const info = await driver.#serverInfo()
      const warning = info && evictionWarning(info)
      if (warning !== undefined) context.emit({ type: 'warning', message: warning })
      return driver
    } catch (error) {
      await driver.close()
      throw error
    } finally {
      context.signal.removeEventListener('abort', onAbort)
    }
  }

  async apply(topology: Topology, mode: 'create' | 'verify'): Promise<TopologyReport> {
    const kept = topology.topics.filter(({ topic, groups }) => {
      if (this.#topics.of(topic).mode === 'stream') return true
      if (groups.length > 0) throw unsupportedOnNotices(topic.name, 'groups')
      return false
    })
    return apply(this.#shared, this.#settings.prefix, { topics: kept }, mode)
  }

  publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    return this.#publisher.publish(batch)
  }

  async subscribe(request: SubscriptionRequest): Promise<Subscription> {
    const known = this.#topics.of(request.topic)
    if (known.mode === 'notices' && !request.broadcast)
      throw unsupportedOnNotices(request.topic.name, 'groups')
    const number = ++this.#subscribed
    const reader = await Reader.open(this.#connections, this.#shared, (id) =>
      consumerName(this.#context.instance, number, id, request.leaseMs),
    )
    try {
      const subscription = await this.#start(request, reader, known)
      this.#subscriptions.add(subscription)
      reader.onClose(() => this.#subscriptions.delete(subscription))
      if (this.#closing !== undefined) await subscription.close()
      return subscription
    } catch (error) {
      await reader.close()
      throw error
    }
  }

  deadLetters(topic: TopicSpec, group: string): DeadLetterStore {
    return new RedisDeadLetters(this.#shared, groupKeys(this.#topics.of(topic).keys, group), topic.ordered)
  }

  async seek(topic: TopicSpec, group: string, position: SeekPosition): Promise<void> {
    const { streams } = this.#topics.of(topic).keys
    const moved =
      position.to === 'offset' ? streams.slice(position.partition, position.partition + 1) : streams
    const id = lastIdBefore(position)
    await Promise.all(moved.map((stream) => this.#shared.call('XGROUP', 'SETID', stream, group, id)))
  }

  readonly administration = {}

  // To the safe side until the broker keeps a group's wishes: nothing is skipped.
  async wanted(_topic: TopicSpec, _group: string, types: readonly string[]): Promise<readonly boolean[]> {
    return types.map(() => true)
  }

  stats(topic: TopicSpec, group: string): Promise<GroupStats> {
    const { keys } = this.#topics.of(topic)
    return groupStats(this.#shared, topic, keys, groupKeys(keys, group), group)
  }

  async health(): Promise<DriverHealth> {
    try {
      await this.#shared.call('PING')
      return { status: 'up', details: { ...(await this.#serverInfo()) } }
    } catch (error) {
      return { status: 'down', error: toMessagingError(error, 'Redis does not answer'), details: {} }
    }
  }

  /** The ioredis client in use, `Redis` or `Cluster`; undefined while there is no connection, another one after a loss. */
  native(): Client | undefined {
    return this.#shared.client
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.allSettled([...this.#subscriptions].map((subscription) => subscription.close()))
    await Promise.all([this.#shared.close(), this.#waiting.close()])
  }

  async #start(
    { topic, group: { name }, leaseMs, broadcast }: SubscriptionRequest,
    reader: Reader,
    { keys, mode, retention }: KnownTopic,
  ): Promise<Subscription> {
    const { clock, emit } = this.#context
    const pollIntervalMs = this.#settings.pollInterval
    if (mode === 'notices')
      return NoticeSubscription.start({ reader, clock, emit, pollIntervalMs }, keys.notices)
    const group = broadcast ? undefined : groupKeys(keys, name)
    const upkeep = new Upkeep({ reader, keys, group, retention, pollIntervalMs, clock })
    if (group === undefined) return BroadcastSubscription.start({ reader, upkeep, topic: keys })
    const parts = {
      ...{ reader, upkeep, clock, emit, topic: keys, group, leaseMs, pollIntervalMs },
      shared: this.#shared,
      groupName: name,
      consumer: reader.name,
    }
    if (!topic.ordered) return new GroupSubscription(parts)
    const subscription = new PartitionSubscription(parts, topic.partitions)
    await subscription.claim()
    return subscription
  }

  /** Undefined when our user may not ask. */
  async #serverInfo(): Promise<ServerInfo | undefined> {
    const connection = await this.#shared.get()
    try {
      return parseServerInfo(await connection.call('INFO'))
    } catch (thrown) {
      const error = toMessagingError(thrown, 'INFO failed')
      if (error.code === 'access-denied' && / NOPERM /.test(error.message)) return undefined
      throw error
    }
  }
}

/** The id after which a group must read to begin at the position. */
function lastIdBefore(position: SeekPosition): string {
  switch (position.to) {
    case 'earliest':
      return '0'
    case 'latest':
      return '$'
    case 'time':
      return idBefore(`${Math.ceil(position.time)}-0`)
    case 'offset':
      return idBefore(position.offset)
  }
}
