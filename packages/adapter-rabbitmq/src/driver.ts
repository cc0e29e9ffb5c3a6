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
  type Subscription,
  type SubscriptionRequest,
  type TopicSpec,
  type TopologyReport,
  type Topology as WantedTopology,
} from '@waybill/core/driver'
import { bounded } from '@waybill/core/driver-kit'
import type { ChannelModel } from './client/amqplib.ts'
import { Links } from './connection/links.ts'
import { describeServer, requireSupported, type Server } from './connection/server.ts'
import { RabbitmqDeadLetters } from './dead-letters/dead-letters.ts'
import { toDriverError } from './errors.ts'
import type { RabbitmqSettings } from './options.ts'
import { RabbitmqSubscription } from './receiving/subscription.ts'
import { Copies } from './sending/copies.ts'
import { Publisher, unroutable } from './sending/publisher.ts'
import { Sends } from './sending/sends.ts'
import { LostAcks } from './settling/lost-acks.ts'
import { administrationOf } from './topology/administration.ts'
import { quorumArguments } from './topology/declarations.ts'
import { Ladders } from './topology/ladders.ts'
import { Topology } from './topology/topology.ts'
import { Wishes } from './topology/wishes.ts'
import { describeGroup, describeTopic, type TopicObjects } from './wire/names.ts'

/** What `bus.native('rabbitmq')` gives on RabbitMQ: amqplib's connections, undefined while they are lost. */
export interface RabbitmqNative {
  readonly publishing: ChannelModel | undefined
  readonly consuming: ChannelModel | undefined
}

/** How long subscriptions that core has left open may take to end. */
const closeSubscriptionsMs = 5000

export class RabbitmqDriver implements Driver {
  readonly name = 'rabbitmq'
  readonly capabilities: Capabilities
  readonly administration: Administration
  readonly #settings: RabbitmqSettings
  readonly #context: DriverContext
  readonly #server: Server
  readonly #links: Links
  readonly #sends: Sends
  /** On a channel of its own: a mistake in a send closes the channel and must not affect retries. */
  readonly #copying: Publisher
  readonly #ladders: Ladders
  readonly #wishes: Wishes
  readonly #topology: Topology
  readonly #copies: Copies
  readonly #lostAcks = new LostAcks()
  readonly #objects = new WeakMap<TopicSpec, TopicObjects>()
  readonly #subscriptions = new Set<RabbitmqSubscription>()
  #members = 0
  #closing: Promise<void> | undefined

  private constructor(settings: RabbitmqSettings, context: DriverContext, links: Links, server: Server) {
    this.#settings = settings
    this.#context = context
    this.#server = server
    this.capabilities = capabilitiesOf(settings, server)
    this.#links = links
    links.onLost = () => this.#forget()
    const { publishing, consuming } = links
    const { clock } = context
    const quorum = quorumArguments(server)
    this.#ladders = new Ladders(consuming, settings, clock, quorum)
    this.#wishes = new Wishes(consuming, publishing, quorum)
    this.#topology = new Topology({
      link: consuming,
      ladders: this.#ladders,
      wishes: this.#wishes,
      quorumArguments: quorum,
    })
    this.#sends = new Sends({
      link: publishing,
      ladders: this.#ladders,
      wishes: this.#wishes,
      settings,
      context,
    })
    this.#copying = new Publisher(publishing, clock, settings.confirmTimeout, {
      onUnroutable: (copy) => {
        this.#forget()
        return unroutable(copy)
      },
    })
    this.#copies = new Copies(this.#copying, this.#ladders, clock)
    this.administration = administrationOf({
      link: consuming,
      settings,
      describe: (topic) => this.#describe(topic),
      onDeleted: () => this.#forget(),
    })
  }

  /**
   * @throws {MessagingError} `connection-failed`, `access-denied`, or `unsupported` for a broker that is too old or an
   * option that it does not know.
   */
  static async open(settings: RabbitmqSettings, context: DriverContext): Promise<RabbitmqDriver> {
    const links = new Links(settings, context)
    try {
      const { connection } = await links.open()
      const { product, version } = connection.serverProperties
      requireSupported(product, version)
      const server = describeServer(version)
      requireConsumerTimeouts(settings, server)
      const driver = new RabbitmqDriver(settings, context, links, server)
      context.emit({ type: 'connected' })
      return driver
    } catch (error) {
      await links.close()
      throw error
    }
  }

  async apply(
    { topics }: WantedTopology,
    mode: 'create' | 'verify',
    signal?: AbortSignal,
  ): Promise<TopologyReport> {
    this.#ensureOpen()
    const report = await this.#topology.apply(
      topics.map(({ topic, groups }) => ({ objects: this.#describe(topic), groups })),
      mode,
      signal,
    )
    for (const { topic, groups } of topics) this.#sends.expect(topic, groups)
    return report
  }

  async wanted(topic: TopicSpec, group: string, types: readonly string[]): Promise<readonly boolean[]> {
    this.#ensureOpen()
    return this.#wishes.wanted(this.#describe(topic), group, types)
  }

  async publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    this.#ensureOpen()
    const [first] = batch
    return first === undefined ? [] : this.#sends.publish(batch, this.#describe(first.topic))
  }

  async subscribe(request: SubscriptionRequest): Promise<Subscription> {
    this.#ensureOpen()
    this.#members += 1
    const subscription = await RabbitmqSubscription.open({
      link: this.#links.consuming,
      clock: this.#context.clock,
      copies: this.#copies,
      settings: this.#settings,
      objects: this.#describe(request.topic),
      request,
      member: `${this.#context.instance}/${this.#members}`,
      returnsAsCopies: !this.#server.countsFailuresApart,
      lostAcks: this.#lostAcks,
      onClosed: (closed) => this.#subscriptions.delete(closed),
    })
    this.#subscriptions.add(subscription)
    return subscription
  }

  deadLetters(topic: TopicSpec, group: string): DeadLetterStore {
    return new RabbitmqDeadLetters({
      link: this.#links.consuming,
      publisher: this.#copying,
      clock: this.#context.clock,
      objects: this.#describe(topic),
      group,
    })
  }

  async seek(): Promise<void> {
    throw new MessagingError(
      'unsupported',
      'RabbitMQ queues do not keep handled messages, so a group cannot seek',
    )
  }

  async stats(topic: TopicSpec, group: string): Promise<GroupStats> {
    this.#ensureOpen()
    const objects = this.#describe(topic)
    const { queues, dead, ladder } = describeGroup(objects, group)
    const delays: string[] = []
    for (const each of [objects.ladder, ladder]) delays.push(...(await this.#ladders.queues(each)))
    return this.#links.consuming.withChannel('Reading the figures failed', async (channel) => {
      const total = async (names: readonly string[]) => {
        let messages = 0
        for (const name of names) messages += (await channel.checkQueue(name)).messageCount
        return messages
      }
      return {
        waiting: await total(queues.map(({ name }) => name)),
        inFlight: this.#inFlight(topic, group),
        delayed: await total(delays),
        dead: await total([dead.name]),
      }
    })
  }

  /** Of this connection only: AMQP does not tell what others have in hand. */
  #inFlight(topic: TopicSpec, group: string): number | undefined {
    const own = [...this.#subscriptions].filter((subscription) => subscription.isOf(topic, group))
    return own.length === 0 ? undefined : own.reduce((sum, { size }) => sum + size, 0)
  }

  async health(): Promise<DriverHealth> {
    const details = () => {
      const server = this.#links.consuming.model?.connection.serverProperties
      return {
        version: server?.version,
        cluster: server?.cluster_name,
        blocked: this.#links.publishing.blocked,
      }
    }
    try {
      this.#ensureOpen()
      await this.#links.publishing.bounded('Connecting failed', this.#links.publishing.open())
      await this.#links.consuming.withChannel('Asking for the health failed', async () => undefined)
      return { status: 'up', details: details() }
    } catch (error) {
      return { status: 'down', error: toDriverError(error, 'RabbitMQ is not healthy'), details: details() }
    }
  }

  native(): RabbitmqNative {
    return { publishing: this.#links.publishing.model, consuming: this.#links.consuming.model }
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  /** A connection that closes gives back what is in hand too, but the broker counts it as a crash. */
  async #end(): Promise<void> {
    const { clock } = this.#context
    const closed = Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    const what = 'Closing the subscriptions'
    await bounded(closed, { clock, timeoutMs: closeSubscriptionsMs, what }).catch(() => undefined)
    await this.#links.close()
  }

  /** Somebody may have deleted what we think is there. */
  #forget(): void {
    this.#ladders.forget()
    this.#wishes.forget()
  }

  #describe(topic: TopicSpec): TopicObjects {
    let objects = this.#objects.get(topic)
    if (objects === undefined) {
      objects = describeTopic(topic, this.#settings)
      this.#objects.set(topic, objects)
    }
    return objects
  }

  #ensureOpen(): void {
    if (this.#closing !== undefined)
      throw new MessagingError('closed', 'The connection to RabbitMQ is closed')
  }
}

/** An argument of consumers that earlier brokers ignore. */
function requireConsumerTimeouts({ consumerTimeout }: RabbitmqSettings, server: Server): void {
  if (consumerTimeout === undefined || server.consumerTimeouts) return
  throw new MessagingError(
    'unsupported',
    `The option consumerTimeout needs RabbitMQ 4.3, and this broker is ${server.version}. Instead: give the topic ` +
      "queueArguments: { 'x-consumer-timeout': … }, or the queues a policy with consumer-timeout",
  )
}

function capabilitiesOf({ heartbeat, maxMessageBytes }: RabbitmqSettings, server: Server): Capabilities {
  return {
    ordered: true,
    delay: true,
    durableRetry: true,
    release: true,
    yieldsKeys: true,
    deadLetters: true,
    stats: true,
    changesFilters: true,
    keepsDeliveries: false,
    priority: server.priorities,
    broadcast: true,
    replay: false,
    seek: false,
    lease: false,
    countsCrashes: true,
    // Up to 31 ms for the shortest delay queue, and some for each of the queues a delay is made of.
    delayGranularityMs: 250,
    // A dead host is noticed when two heartbeats are missing; a dead process at once, because its sockets close.
    redeliveryMs: heartbeat * 2 + 2000,
    maxMessageBytes,
    maxDelayMs: Number.POSITIVE_INFINITY,
    maxLeaseMs: Number.POSITIVE_INFINITY,
    maxPrefetch: Number.POSITIVE_INFINITY,
    // Small and many: a caller continues when its batch is confirmed, and the broker always has work.
    publishBatchSize: 16,
    publishParallelism: 32,
  }
}
