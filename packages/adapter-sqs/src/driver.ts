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
  type Topology,
  type TopologyReport,
  toMessagingError,
} from '@waybill/core/driver'
import { within } from '@waybill/core/driver-kit'
import { Connection } from './connection/connection.ts'
import { SqsDeadLetters } from './dead-letters/dead-letters.ts'
import type { SqsSettings } from './options.ts'
import { SqsSubscription } from './receiving/subscription.ts'
import { Publisher } from './sending/publisher.ts'
import { SqsAdministration } from './topology/administration.ts'
import { ServiceTopology } from './topology/topology.ts'

/** Beyond the wait of the last polls; then sockets are closed with what they have under way. */
const closeGraceMs = 1000

function capabilitiesOf({ limits }: SqsSettings): Capabilities {
  return {
    ordered: true,
    delay: true,
    durableRetry: true,
    release: true,
    yieldsKeys: true,
    deadLetters: true,
    stats: true,
    changesFilters: true,
    keepsDeliveries: true,
    priority: false,
    broadcast: false,
    replay: false,
    seek: false,
    lease: true,
    countsCrashes: true,
    // Delays are whole seconds, and a long poll sees what has become visible within one more.
    delayGranularityMs: 2000,
    // Core's usual lease has to end, and the next poll to see it.
    redeliveryMs: 32_000,
    maxDelayMs: Number.POSITIVE_INFINITY,
    maxLeaseMs: limits.visibilityMs,
    maxPrefetch: Number.POSITIVE_INFINITY,
    maxMessageBytes: limits.messageBytes,
    // Ten requests a batch. A batch ends with its slowest request, so several are under way; more would share fewer
    // requests among few callers, and requests are what SQS charges for.
    publishBatchSize: 100,
    publishParallelism: 4,
  }
}

/** What `native()` gives: the SDK's clients for the connection's region. */
export interface SqsNative {
  readonly sqs: Connection['sqs']
  readonly sns: Connection['sns']
}

export class SqsDriver implements Driver {
  readonly name = 'sqs'
  readonly capabilities: Capabilities
  readonly administration: SqsAdministration
  readonly #settings: SqsSettings
  readonly #connection: Connection
  readonly #context: DriverContext
  readonly #topology: ServiceTopology
  readonly #publisher: Publisher
  readonly #subscriptions = new Set<SqsSubscription>()
  readonly #polls = new Set<Promise<void>>()
  readonly #deadLetters = new Map<string, SqsDeadLetters>()
  #closing: Promise<void> | undefined

  private constructor(settings: SqsSettings, connection: Connection, context: DriverContext) {
    this.capabilities = capabilitiesOf(settings)
    this.#settings = settings
    this.#connection = connection
    this.#context = context
    this.#topology = new ServiceTopology(connection, settings, context.clock)
    this.#publisher = new Publisher(settings, this.#topology)
    this.administration = new SqsAdministration(connection, this.#topology)
  }

  /** Open when the service answers and knows who we are. */
  static async open(settings: SqsSettings, context: DriverContext): Promise<SqsDriver> {
    const connection = await Connection.open(settings, context)
    context.emit({ type: 'connected' })
    return new SqsDriver(settings, connection, context)
  }

  async apply(topology: Topology, mode: 'create' | 'verify', signal?: AbortSignal): Promise<TopologyReport> {
    this.#refuseIfClosed()
    return this.#topology.apply(topology, mode, signal)
  }

  async wanted(topic: TopicSpec, group: string, types: readonly string[]): Promise<readonly boolean[]> {
    this.#refuseIfClosed()
    return this.#topology.wanted(topic, group, types)
  }

  async publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    this.#refuseIfClosed()
    return this.#publisher.publish(batch)
  }

  async subscribe({ topic, group, prefetch, leaseMs }: SubscriptionRequest): Promise<Subscription> {
    this.#refuseIfClosed()
    const subscription: SqsSubscription = new SqsSubscription({
      queue: await this.#topology.queues.get({ topic, group: group.name, dead: false }),
      deadLetters: await this.#topology.queues.get({ topic, group: group.name, dead: true }),
      settings: this.#settings,
      clock: this.#context.clock,
      leaseMs: Math.min(Math.ceil(leaseMs / 1000) * 1000, this.#settings.limits.visibilityMs),
      prefetch,
      watch: (poll) => {
        this.#polls.add(poll)
        void poll.finally(() => this.#polls.delete(poll))
      },
      closed: () => this.#subscriptions.delete(subscription),
    })
    this.#subscriptions.add(subscription)
    return subscription
  }

  deadLetters(topic: TopicSpec, group: string): DeadLetterStore {
    this.#refuseIfClosed()
    const { queues } = this.#topology
    const id = queues.nameOf({ topic, group, dead: true })
    const known = this.#deadLetters.get(id)
    if (known !== undefined) return known
    const store = new SqsDeadLetters({
      clock: this.#context.clock,
      mostHidden: this.#settings.limits.inFlight,
      deadLetters: () => queues.get({ topic, group, dead: true }),
      queue: () => queues.get({ topic, group, dead: false }),
    })
    this.#deadLetters.set(id, store)
    return store
  }

  async seek(): Promise<void> {
    throw new MessagingError('unsupported', 'sqs cannot seek: SQS keeps no message once it is handled')
  }

  async stats(topic: TopicSpec, group: string): Promise<GroupStats> {
    this.#refuseIfClosed()
    const { queues } = this.#topology
    const [queue, dead] = await Promise.all([
      queues.get({ topic, group, dead: false }).then((found) => found.depths()),
      this.deadLetters(topic, group).count(),
    ])
    return { ...queue, dead }
  }

  async health(): Promise<DriverHealth> {
    const { region, endpoint } = this.#connection
    const details = { region, endpoint }
    if (this.#closing !== undefined) {
      return { status: 'down', error: new MessagingError('closed', 'The driver is closed'), details }
    }
    try {
      await this.#connection.probe({ queue: this.#topology.queues.anyName })
      const { serviceTime: time } = this.#connection
      return { status: 'up', ...(time !== undefined && { time }), details }
    } catch (error) {
      return { status: 'down', error: toMessagingError(error, 'Asking SQS for an answer'), details }
    }
  }

  native(): SqsNative {
    return { sqs: this.#connection.sqs, sns: this.#connection.sns }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const closed = Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    await within(
      this.#context.clock,
      this.#settings.pollWait + closeGraceMs,
      closed.then(() => Promise.all(this.#polls)),
    )
    this.#connection.destroy()
  }

  #refuseIfClosed(): void {
    if (this.#closing !== undefined) throw new MessagingError('closed', 'The connection to SQS is closed')
  }
}
