import {
  type Capabilities,
  type DeadLetterStore,
  type Driver,
  type DriverContext,
  type DriverHealth,
  type GroupStats,
  matchesPattern,
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
import { bounded } from '@waybill/core/driver-kit'
import { diagnose } from './client/diagnose.ts'
import { type Client, makeClient } from './client/make-client.ts'
import type { ConnectionSettings } from './connection/connection.ts'
import { ListeningConnection } from './connection/listening-connection.ts'
import { MemoryWatch } from './connection/memory-watch.ts'
import { SharedConnection } from './connection/shared-connection.ts'
import { RedisDeadLetters } from './dead-letters/dead-letters.ts'
import { toConnectError, unsupportedOnNotices } from './errors.ts'
import type { RedisSettings } from './options.ts'
import { BroadcastSubscription } from './receiving/broadcast-subscription.ts'
import { GroupSubscription } from './receiving/group-subscription.ts'
import { NoticeSubscription } from './receiving/notice-subscription.ts'
import { OrderedSubscription } from './receiving/ordered-subscription.ts'
import { Upkeep } from './receiving/upkeep.ts'
import { driverScripts } from './scripts/script.ts'
import { Publisher } from './sending/publisher.ts'
import { RedisAdministration } from './topology/administration.ts'
import { apply } from './topology/apply.ts'
import { groupStats } from './topology/group-stats.ts'
import { Housekeeping } from './topology/housekeeping.ts'
import { type KnownTopic, KnownTopics } from './topology/known-topics.ts'
import { idBefore } from './wire/ids.ts'
import { connectionName, groupKeys } from './wire/names.ts'
import { asArray, asTime, asUtf8 } from './wire/reply.ts'
import { evictionWarning, parseServerInfo, type ServerInfo } from './wire/server-info.ts'

export class RedisDriver implements Driver {
  readonly name = 'redis'
  readonly capabilities: Capabilities
  readonly administration: RedisAdministration
  readonly #settings: RedisSettings
  readonly #context: DriverContext
  readonly #shared: SharedConnection
  readonly #waiting: SharedConnection
  readonly #listening: ListeningConnection
  readonly #memory: MemoryWatch
  readonly #topics: KnownTopics
  readonly #publisher: Publisher
  readonly #subscriptions = new Set<Subscription>()
  /** The groups seen at the broker, as `topic/group`. */
  readonly #seen = new Set<string>()
  #numbers = 0
  #closing: Promise<void> | undefined

  private constructor(settings: RedisSettings, context: DriverContext) {
    const { clock, emit, instance } = context
    this.#settings = settings
    this.#context = context
    const connections: ConnectionSettings = {
      makeClient: () => makeClient(settings, connectionName(instance)),
      ...(settings.cluster && { diagnose: () => diagnose(settings, connectionName(instance)) }),
      explain: (error) => toConnectError(error, settings),
      database: settings.database,
      connectTimeoutMs: settings.connectTimeout,
      clock,
      scripts: driverScripts,
    }
    this.#shared = new SharedConnection(connections, emit)
    // Opened by the first send that waits for replicas. Its loss is reported to the senders.
    this.#waiting = new SharedConnection(connections, () => {})
    this.#listening = new ListeningConnection(connections, settings.requestTimeout)
    const shared = this.#shared
    const { prefix, mirrorAttributes } = settings
    this.#memory = new MemoryWatch({ shared, clock, emit, probeKey: `${prefix}:probe` })
    this.#topics = new KnownTopics(settings, { clock, shared, emit })
    this.administration = new RedisAdministration({ shared, prefix, seen: this.#seen })
    this.#publisher = new Publisher({
      ...{ shared, waiting: this.#waiting, topics: this.#topics, memory: this.#memory, mirrorAttributes },
    })
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
      // Who waits knows when the next is due; the rest is for the way there and back.
      delayGranularityMs: 500,
      // Members are missed after three seconds of silence; a cluster tells nothing of connections, so there leases must end.
      redeliveryMs: (settings.cluster ? 35_000 : 4000) + settings.pollInterval,
      maxDelayMs: Number.POSITIVE_INFINITY,
      maxLeaseMs: Number.POSITIVE_INFINITY,
      maxPrefetch: Number.POSITIVE_INFINITY,
      maxMessageBytes: settings.maxMessageBytes,
      publishBatchSize: 128,
      // The server has something to do while the client prepares the next one.
      publishParallelism: 2,
    }
  }

  static async open(settings: RedisSettings, context: DriverContext): Promise<RedisDriver> {
    const driver = new RedisDriver(settings, context)
    // Closing ends what is under way.
    const onAbort = () => void driver.close()
    context.signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (context.signal.aborted) onAbort()
      const info = await driver.#serverInfo()
      const warning = info && evictionWarning(info)
      if (warning !== undefined) context.emit({ type: 'warning', message: warning })
      if (info !== undefined) driver.#memory.warn(info)
      return driver
    } catch (error) {
      await driver.close()
      throw error
    } finally {
      context.signal.removeEventListener('abort', onAbort)
    }
  }

  async apply(topology: Topology, mode: 'create' | 'verify', signal?: AbortSignal): Promise<TopologyReport> {
    const kept = topology.topics.filter(({ topic, groups }) => {
      if (this.#topics.of(topic).mode === 'stream') return true
      if (groups.length > 0) throw unsupportedOnNotices(topic.name, 'groups')
      return false
    })
    const { prefix } = this.#settings
    const settings = { shared: this.#shared, prefix, emit: this.#context.emit, seen: this.#seen }
    return this.#bounded('Applying the topology', apply(settings, { topics: kept }, mode), signal)
  }

  async wanted(topic: TopicSpec, group: string, types: readonly string[]): Promise<readonly boolean[]> {
    const { wishes } = groupKeys(this.#topics.of(topic).keys, group)
    const patterns = asArray(await this.#shared.call('SMEMBERS', wishes)).map(asUtf8)
    return types.map((type) => patterns.some((pattern) => matchesPattern(pattern, type)))
  }

  publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    return this.#publisher.publish(batch)
  }

  async subscribe(request: SubscriptionRequest): Promise<Subscription> {
    const known = this.#topics.of(request.topic)
    if (known.mode === 'notices' && !request.broadcast)
      throw unsupportedOnNotices(request.topic.name, 'groups')
    const subscription = await this.#start(request, known)
    this.#subscriptions.add(subscription)
    if (this.#closing !== undefined) await subscription.close()
    return subscription
  }

  deadLetters(topic: TopicSpec, group: string): DeadLetterStore {
    return new RedisDeadLetters(this.#shared, topic, this.#topics.of(topic).keys, group)
  }

  async seek(topic: TopicSpec, group: string, position: SeekPosition): Promise<void> {
    const { streams, wake } = this.#topics.of(topic).keys
    const moved =
      position.to === 'offset' ? streams.slice(position.partition, position.partition + 1) : streams
    const id = lastIdBefore(position)
    await Promise.all(moved.map((stream) => this.#shared.call('XGROUP', 'SETID', stream, group, id)))
    await this.#shared.call('PUBLISH', wake, [...streams.keys()].join(','))
  }

  async stats(topic: TopicSpec, group: string): Promise<GroupStats> {
    const { keys } = this.#topics.of(topic)
    const now = Math.floor(asTime(await this.#shared.call('TIME')))
    return groupStats(this.#shared, topic, keys, groupKeys(keys, group), group, now)
  }

  async health(): Promise<DriverHealth> {
    try {
      const time = Math.floor(asTime(await this.#shared.call('TIME')))
      return { status: 'up', time, details: { ...(await this.#serverInfo()) } }
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
    await Promise.all([this.#shared.close(), this.#waiting.close(), this.#listening.close()])
  }

  #bounded<Value>(what: string, promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
    const { connectTimeout, requestTimeout } = this.#settings
    const { clock } = this.#context
    return bounded(promise, { clock, timeoutMs: connectTimeout + 2 * requestTimeout, what, signal })
  }

  async #start(request: SubscriptionRequest, known: KnownTopic): Promise<Subscription> {
    const { topic, leaseMs, broadcast } = request
    const { clock, emit, instance } = this.#context
    const { keys, mode, retention, deduplicationMs } = known
    const pollIntervalMs = this.#settings.pollInterval
    const shared = this.#shared
    const listening = this.#listening
    const subscriptions = this.#subscriptions
    const onClosed = () => subscriptions.delete(subscription)
    const ways = { shared, listening, clock, emit, onClosed }
    const name = request.group.name
    const group = broadcast ? undefined : groupKeys(keys, name)
    const housekeeping = new Housekeeping({
      ...{ shared, keys, clock, emit, retention, deduplicationMs },
      group: group && { name, keys: group },
    })
    const upkeep = new Upkeep({
      ...{ shared, keys, group, housekeeping, clock },
      // Often enough to renew the lease.
      pollIntervalMs: Math.min(pollIntervalMs, leaseMs / 3),
    })
    const start = (): Promise<Subscription> => {
      if (mode === 'notices') return NoticeSubscription.start({ ...ways, pollIntervalMs }, keys.notices)
      if (group === undefined) return BroadcastSubscription.start({ ...ways, upkeep, topic: keys })
      const parts = {
        ...{ ...ways, upkeep, topic: keys, group, groupName: name, leaseMs, instance, memory: this.#memory },
        nextNumber: () => ++this.#numbers,
        requestTimeoutMs: this.#settings.requestTimeout,
      }
      return topic.ordered
        ? OrderedSubscription.start(parts, topic.partitions)
        : GroupSubscription.start(parts)
    }
    const subscription = await start()
    return subscription
  }

  /** Undefined when our user may not ask. */
  async #serverInfo(): Promise<ServerInfo | undefined> {
    const connection = await this.#shared.get()
    try {
      return parseServerInfo(await connection.call('INFO'))
    } catch (thrown) {
      const error = toMessagingError(thrown, 'INFO failed')
      if (error.code === 'access-denied' && /\bNOPERM\b/.test(error.message)) return undefined
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
