import {
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
import type { Admin, Consumer, Producer } from 'kafkajs'
import { KafkaDeadLetters } from './dead-letters/dead-letters.ts'
import { toConnectError, toDriverError } from './errors.ts'
import type { Settings } from './options.ts'
import type { Legacy } from './receiving/handover.ts'
import { KafkaSubscription } from './receiving/subscription.ts'
import { Publisher } from './sending/publisher.ts'
import { groupStats, seekGroup } from './settling/groups.ts'
import { Administration } from './topology/administration.ts'
import { applyTopology } from './topology/topology.ts'
import { toRecord } from './wire/messages.ts'
import { broadcastGroupId, groupNames } from './wire/names.ts'

/** What `bus.native('kafka')` gives on Kafka: kafkajs's clients, those of them that exist at the moment. */
export interface KafkaNative {
  readonly admin: Admin | undefined
  readonly producer: Producer | undefined
  readonly consumers: readonly Consumer[]
}

const healthTimeoutMs = 5000
// A due message waits for a turn of the event loop, and in a delay topic for the answer to a fetch.
const granularityMs = 250
const joinMs = 3000
// kafkajs spends time that grows with the square of what goes to a partition.
const publishBatchSize = 500

export class KafkaDriver implements Driver {
  readonly name = 'kafka'
  readonly capabilities: Capabilities
  readonly #settings: Settings
  readonly #context: DriverContext
  readonly #administration: Administration
  readonly #publisher: Publisher
  readonly #subscriptions = new Set<KafkaSubscription>()
  readonly #letters = new Map<string, KafkaDeadLetters>()
  readonly #legacies = new Map<string, Legacy>()
  #subscriptionCount = 0
  #closing: Promise<void> | undefined

  constructor(settings: Settings, context: DriverContext) {
    this.#settings = settings
    this.#context = context
    this.capabilities = capabilitiesOf(settings)
    const { instance, emit } = context
    this.#administration = new Administration({
      settings,
      instance,
      onConnected: () => emit({ type: 'connected' }),
      onDisconnected: (error) => emit({ type: 'disconnected', error }),
    })
    this.#publisher = new Publisher(settings, instance)
  }

  async open(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>()
    const onAbort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([this.#administration.run('Connecting', async () => {}), aborted.promise])
    } catch (error) {
      await this.close()
      throw toConnectError(error, `Connecting to Kafka at ${this.#settings.brokers.join(', ')} failed`)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
    this.#context.emit({ type: 'connected' })
  }

  apply(topology: Topology, mode: 'create' | 'verify'): Promise<TopologyReport> {
    return this.#administration.run('Provisioning', (gateway) =>
      applyTopology(gateway, this.#settings, topology, mode),
    )
  }

  publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    this.#ensureOpen()
    const now = this.#context.clock.now()
    const records = batch.map((message) => toRecord(message, now, this.#settings.mirrorAttributes))
    return this.#publisher.send(batch[0]?.topic.name ?? '', records)
  }

  async subscribe(request: SubscriptionRequest): Promise<Subscription> {
    this.#ensureOpen()
    const { topic, group, broadcast } = request
    this.#subscriptionCount += 1
    const instance = `${this.#context.instance}-${this.#subscriptionCount}`
    const names = groupNames(topic, group.name)
    const groupId = broadcast ? broadcastGroupId(topic, group.name, instance) : names.groupId
    if (broadcast) await this.#startBroadcast(topic, groupId)
    const legacy: Legacy = this.#legacies.get(groupId) ?? {
      commits: new Map(),
      strays: new Set(),
      copies: new Set(),
    }
    if (!broadcast) this.#legacies.set(groupId, legacy)
    const subscription: KafkaSubscription = new KafkaSubscription(request, {
      settings: this.#settings,
      clock: this.#context.clock,
      publisher: this.#publisher,
      names,
      groupId,
      instance,
      holder: this.#context.instance,
      legacy,
      offsetsOf: (name, at) =>
        this.#administration.run(`Reading offsets of topic ${name}`, (gateway) => gateway.offsets(name, at)),
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
      letters = new KafkaDeadLetters(this.#administration.run, this.#publisher, names)
      this.#letters.set(names.dead, letters)
    }
    return letters
  }

  seek(topic: TopicSpec, group: string, position: SeekPosition): Promise<void> {
    return this.#administration.run(`Moving group ${group} of topic ${topic.name}`, (gateway) =>
      seekGroup(gateway, topic, group, position),
    )
  }

  readonly administration = {}

  // To the safe side until the broker keeps a group's wishes: nothing is skipped.
  async wanted(_topic: TopicSpec, _group: string, types: readonly string[]): Promise<readonly boolean[]> {
    return types.map(() => true)
  }

  async stats(topic: TopicSpec, group: string): Promise<GroupStats> {
    const dead = await this.deadLetters(topic, group).count()
    const stats = await this.#administration.run(
      `Looking at group ${group} of topic ${topic.name}`,
      (gateway) => groupStats(gateway, topic, group),
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
      const asked = this.#administration.run('Looking at the cluster', ({ admin }) => admin.describeCluster())
      const cluster = await Promise.race([asked, promise]).finally(cancel)
      return { status: 'up', details: { ...cluster, subscriptions } }
    } catch (thrown) {
      const error = toDriverError(thrown, 'Kafka cannot be reached')
      return { status: 'down', error, details: { brokers: this.#settings.brokers, subscriptions } }
    }
  }

  native(): KafkaNative {
    return {
      admin: this.#administration.gateway?.admin,
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
    await Promise.all([this.#publisher.close(), this.#administration.close()])
  }

  #ensureOpen(): void {
    if (this.#closing !== undefined) throw new MessagingError('closed', 'The connection to Kafka is closed')
  }

  /** A broadcast group begins with what is sent from now on. */
  async #startBroadcast(topic: TopicSpec, groupId: string): Promise<void> {
    await this.#administration.run(`Starting group ${groupId}`, async (gateway) => {
      const ends = await gateway.offsets(topic.name, 'latest')
      const partitions = [...ends].map(([partition, end]) => ({
        partition,
        offset: String(end),
        metadata: '',
      }))
      const coordinator = await gateway.coordinatorOf(groupId)
      await coordinator.commit([{ topic: topic.name, partitions }])
    })
  }

  async #endBroadcast(groupId: string): Promise<void> {
    try {
      await this.#administration.run(`Deleting group ${groupId}`, ({ admin }) =>
        admin.deleteGroups([groupId]),
      )
    } catch {
      // The broker forgets it in time (Kafka documentation, "Broker Configs", `offsets.retention.minutes`).
    }
  }
}

function capabilitiesOf(settings: Settings): Capabilities {
  return {
    ordered: true,
    delay: true,
    durableRetry: true,
    release: true,
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
