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
  type Subscription,
  type SubscriptionRequest,
  type TopicSpec,
  type TopologyReport,
  type Topology as WantedTopology,
} from '@waybill/core/driver'
import type { ChannelModel } from 'amqplib'
import { Link } from './connection/link.ts'
import { isAtLeast } from './connection/server-version.ts'
import { RabbitmqDeadLetters } from './dead-letters/dead-letters.ts'
import { toDriverError } from './errors.ts'
import type { Settings } from './options.ts'
import { RabbitmqSubscription } from './receiving/subscription.ts'
import { Copies } from './sending/copies.ts'
import { Publisher, unroutable } from './sending/publisher.ts'
import { Sends } from './sending/sends.ts'
import { Ladders } from './topology/ladders.ts'
import { Topology } from './topology/topology.ts'
import { describeGroup, describeTopic, ladderOf, type TopicObjects } from './wire/names.ts'

/** What `bus.native('rabbitmq')` gives on RabbitMQ: amqplib's connections, undefined while they are lost. */
export interface RabbitmqNative {
  readonly publishing: ChannelModel | undefined
  readonly consuming: ChannelModel | undefined
}

export class RabbitmqDriver implements Driver {
  readonly name = 'rabbitmq'
  readonly capabilities: Capabilities
  readonly #settings: Settings
  readonly #context: DriverContext
  /** Apart from the other one, because the broker stops reading from a connection that publishes too much. */
  readonly #publishing: Link
  /** For everything but publishing. */
  readonly #consuming: Link
  readonly #sends: Sends
  /** On a channel of its own: a mistake in a send closes the channel, and shall not touch retries. */
  readonly #copying: Publisher
  readonly #ladders: Ladders
  readonly #topology: Topology
  readonly #copies: Copies
  readonly #objects = new WeakMap<TopicSpec, TopicObjects>()
  readonly #lost = new Set<Link>()
  readonly #subscriptions = new Set<RabbitmqSubscription>()
  #members = 0
  #closing: Promise<void> | undefined

  constructor(settings: Settings, context: DriverContext) {
    this.#settings = settings
    this.#context = context
    this.capabilities = capabilitiesOf(settings)
    this.#publishing = this.#link('publishing')
    this.#consuming = this.#link('consuming')
    const { clock } = context
    this.#ladders = new Ladders(this.#consuming, settings, clock)
    this.#topology = new Topology(this.#consuming, this.#ladders)
    this.#sends = new Sends(this.#publishing, this.#ladders, settings, context)
    this.#copying = new Publisher(this.#publishing, clock, settings.confirmTimeout, (copy) => {
      this.#ladders.forget()
      return unroutable(copy)
    })
    this.#copies = new Copies(this.#copying, this.#ladders, clock)
  }

  async open(signal: AbortSignal): Promise<void> {
    try {
      const [{ connection }] = await Promise.all([
        this.#consuming.open(signal),
        this.#publishing.open(signal),
      ])
      this.#requireConsumerTimeout(connection.serverProperties.version)
    } catch (error) {
      await this.close()
      throw error
    }
    this.#context.emit({ type: 'connected' })
  }

  /** A consumer's argument, which earlier brokers ignore (RabbitMQ documentation, "Consumer Timeouts"). */
  #requireConsumerTimeout(version: unknown): void {
    if (this.#settings.consumerTimeout === undefined || isAtLeast(version, 4, 3)) return
    throw new MessagingError(
      'unsupported',
      `The option consumerTimeout needs RabbitMQ 4.3, and this broker is ${version}. Instead: give the topic ` +
        "queueArguments: { 'x-consumer-timeout': … }, or the queues a policy with consumer-timeout",
    )
  }

  async apply({ topics }: WantedTopology, mode: 'create' | 'verify'): Promise<TopologyReport> {
    this.#ensureOpen()
    const report = await this.#topology.apply(
      topics.map(({ topic, groups }) => ({ objects: this.#describe(topic), groups })),
      mode,
    )
    for (const { topic, groups } of topics) this.#sends.expect(topic, groups)
    return report
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
      link: this.#consuming,
      copies: this.#copies,
      settings: this.#settings,
      objects: this.#describe(request.topic),
      request,
      member: `${this.#context.instance}/${this.#members}`,
      onClosed: (closed) => this.#subscriptions.delete(closed),
    })
    this.#subscriptions.add(subscription)
    return subscription
  }

  deadLetters(topic: TopicSpec, group: string): DeadLetterStore {
    return new RabbitmqDeadLetters({
      link: this.#consuming,
      publisher: this.#copying,
      clock: this.#context.clock,
      objects: this.#describe(topic),
      group,
    })
  }

  async seek(): Promise<void> {
    throw new MessagingError(
      'unsupported',
      'RabbitMQ queues keep no messages that were handled, so a group cannot seek',
    )
  }

  readonly administration = {}

  // To the safe side until the broker keeps a group's wishes: nothing is skipped.
  async wanted(_topic: TopicSpec, _group: string, types: readonly string[]): Promise<readonly boolean[]> {
    return types.map(() => true)
  }

  async stats(topic: TopicSpec, group: string): Promise<GroupStats> {
    this.#ensureOpen()
    const objects = this.#describe(topic)
    const { queues, dead } = describeGroup(objects, group)
    const ladders = [objects.ladder, ...(topic.ordered ? [] : queues.map(({ name }) => ladderOf(name)))]
    const delays: string[] = []
    for (const ladder of ladders) delays.push(...(await this.#ladders.queues(ladder)))
    return this.#consuming.withChannel('Reading the figures failed', async (channel) => {
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
      const server = this.#consuming.model?.connection.serverProperties
      return { version: server?.version, cluster: server?.cluster_name, blocked: this.#publishing.blocked }
    }
    try {
      this.#ensureOpen()
      await this.#publishing.bounded('Connecting failed', this.#publishing.open())
      await this.#consuming.withChannel('Asking for the health failed', async () => undefined)
      return { status: 'up', details: details() }
    } catch (error) {
      return { status: 'down', error: toDriverError(error, 'RabbitMQ is not healthy'), details: details() }
    }
  }

  native(): RabbitmqNative {
    return { publishing: this.#publishing.model, consuming: this.#consuming.model }
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all([this.#publishing.close(), this.#consuming.close()]).then(() => undefined)
    return this.#closing
  }

  #link(role: 'publishing' | 'consuming'): Link {
    const link: Link = new Link(role, this.#settings, this.#context, {
      onOpened: () => this.#onOpened(link),
      onLost: (error) => this.#onLost(link, error),
    })
    return link
  }

  #onLost(link: Link, error: MessagingError): void {
    // Whoever restarted or cut us may have changed what we think is there.
    this.#ladders.forget()
    if (this.#lost.size === 0) this.#context.emit({ type: 'disconnected', error })
    this.#lost.add(link)
  }

  #onOpened(link: Link): void {
    if (!this.#lost.delete(link)) return
    if (this.#lost.size === 0) this.#context.emit({ type: 'connected' })
    // The other one is likely to be lost for the same reason, and to be back; its next user hears of it if not.
    for (const other of this.#lost) void other.open().catch(() => undefined)
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

function capabilitiesOf({ heartbeat, maxMessageBytes }: Settings): Capabilities {
  return {
    ordered: true,
    delay: true,
    durableRetry: true,
    release: true,
    deadLetters: true,
    stats: true,
    changesFilters: true,
    keepsDeliveries: false,
    priority: true,
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
    // Small and many: a caller goes on when its batch is confirmed, and the broker is never left without work.
    publishBatchSize: 16,
    publishParallelism: 32,
  }
}
