import { GetQueueUrlCommand } from '@aws-sdk/client-sqs'
import {
  type BrokerUrl,
  type Capabilities,
  ConfigurationError,
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
  sleep,
  type TopicSpec,
  type Topology,
  type TopologyReport,
  toMessagingError,
} from '@waybill/core/driver'
import { Clients } from './connection/clients.ts'
import { SqsDeadLetters } from './dead-letters/dead-letters.ts'
import { type Options, readOptions } from './options.ts'
import { SqsSubscription } from './receiving/subscription.ts'
import type { Outgoing } from './sending/sender.ts'
import { type Destination, ServiceTopology } from './topology/topology.ts'
import { deduplicationIdOf, placeOf, splitDelay } from './wire/messages.ts'

/** Beyond the wait of the last polls; then sockets are closed with what they have under way. */
const closeGraceMs = 1000

function capabilitiesOf({ limits }: Options): Capabilities {
  return {
    ordered: true,
    delay: true,
    durableRetry: true,
    release: true,
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
    maxLeaseMs: 12 * 3600 * 1000,
    maxPrefetch: Number.POSITIVE_INFINITY,
    maxMessageBytes: limits.messageBytes,
    // Ten requests a batch. A batch ends with its slowest request, so several are under way; more would share fewer
    // requests among few callers, and requests are what SQS charges for.
    publishBatchSize: 100,
    publishParallelism: 4,
  }
}

/** Opens the driver; it is connected when the service answers. */
export async function connect(url: BrokerUrl, context: DriverContext): Promise<Driver> {
  const options = readOptions(url, context.native)
  const clients = new Clients(options, context.emit)
  try {
    await requireRegion(clients)
    await probe(clients, context.signal)
  } catch (error) {
    clients.destroy()
    throw asConnectError(toMessagingError(error, 'Connecting to SQS'))
  }
  context.emit({ type: 'connected' })
  return new SqsDriver(options, clients, context)
}

async function requireRegion(clients: Clients): Promise<void> {
  try {
    await clients.sqs.config.region()
  } catch (error) {
    const message = `no region: write sqs://eu-west-1, or set AWS_REGION (${toMessagingError(error, 'the SDK').message})`
    throw new ConfigurationError('URL', [{ path: 'url', message }])
  }
}

/** Any answer will do: that the queue does not exist, or that we may not know. Wrong credentials are told apart. */
async function probe(clients: Clients, signal?: AbortSignal): Promise<void> {
  const command = new GetQueueUrlCommand({ QueueName: 'waybill-probe' })
  try {
    await clients.call('Asking SQS for an answer', (options) =>
      clients.sqs.send(command, { ...options, ...(signal !== undefined && { abortSignal: signal }) }),
    )
  } catch (error) {
    if (!MessagingError.is(error)) throw error
    const isAnswer =
      error.code === 'topology-missing' || error.code === 'rejected' || error.code === 'throttled'
    const isForbidden = error.code === 'access-denied' && /AccessDenied/.test(error.message)
    if (!isAnswer && !isForbidden) throw error
  }
}

function asConnectError(error: MessagingError): MessagingError {
  if (error.code !== 'disconnected' && error.code !== 'timeout' && error.code !== 'failed') return error
  const { message, retryable } = error
  return new MessagingError('connection-failed', message, { retryable, cause: error.cause })
}

/** What `bus.native('sqs')` gives: the AWS SDK's clients. */
export interface SqsNative {
  readonly sqs: Clients['sqs']
  readonly sns: Clients['sns']
}

class SqsDriver implements Driver {
  readonly name = 'sqs'
  readonly capabilities: Capabilities
  readonly #options: Options
  readonly #clients: Clients
  readonly #context: DriverContext
  readonly #topology: ServiceTopology
  readonly #subscriptions = new Set<SqsSubscription>()
  readonly #polls = new Set<Promise<void>>()
  readonly #deadLetters = new Map<string, SqsDeadLetters>()
  #closing: Promise<void> | undefined

  constructor(options: Options, clients: Clients, context: DriverContext) {
    this.capabilities = capabilitiesOf(options)
    this.#options = options
    this.#clients = clients
    this.#context = context
    this.#topology = new ServiceTopology(clients, options, () => context.clock.now())
  }

  async apply(topology: Topology, mode: 'create' | 'verify'): Promise<TopologyReport> {
    this.#refuseIfClosed()
    return this.#topology.apply(topology, mode)
  }

  async publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    this.#refuseIfClosed()
    const topic = batch[0]?.topic
    if (topic === undefined) return []
    const destination = await this.#topology.destination(topic)
    const results = await destination.sender.send(
      batch.map((message) => this.#outgoing(message, destination)),
    )
    if (results.some((result) => result?.error.code === 'topology-missing')) this.#topology.forget(topic)
    return results.map((result) => (result === undefined ? { ok: true } : { ok: false, error: result.error }))
  }

  async subscribe({ topic, group, leaseMs }: SubscriptionRequest): Promise<Subscription> {
    this.#refuseIfClosed()
    const subscription: SqsSubscription = new SqsSubscription({
      queue: await this.#topology.queues.get({ topic, group: group.name, dead: false }),
      deadLetters: await this.#topology.queues.get({ topic, group: group.name, dead: true }),
      options: this.#options,
      clock: this.#context.clock,
      leaseMs: Math.min(Math.ceil(leaseMs / 1000) * 1000, this.#options.limits.visibilityMs),
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
      deadLetters: () => queues.get({ topic, group, dead: true }),
      queue: () => queues.get({ topic, group, dead: false }),
    })
    this.#deadLetters.set(id, store)
    return store
  }

  async seek(): Promise<void> {
    throw new MessagingError('unsupported', 'sqs cannot seek: SQS keeps no message once it is handled')
  }

  readonly administration = {}

  // To the safe side until the broker keeps a group's wishes: nothing is skipped.
  async wanted(_topic: TopicSpec, _group: string, types: readonly string[]): Promise<readonly boolean[]> {
    return types.map(() => true)
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
    const details = { region: await this.#clients.sqs.config.region(), endpoint: this.#options.endpoint }
    if (this.#closing !== undefined) {
      return { status: 'down', error: new MessagingError('closed', 'The driver is closed'), details }
    }
    try {
      await probe(this.#clients)
      return { status: 'up', details }
    } catch (error) {
      return { status: 'down', error: toMessagingError(error, 'Asking SQS for an answer'), details }
    }
  }

  native(): SqsNative {
    return { sqs: this.#clients.sqs, sns: this.#clients.sns }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const finished = new AbortController()
    const limit = sleep(this.#context.clock, this.#options.pollWait + closeGraceMs, finished.signal)
    const closed = Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    await Promise.race([limit, closed.then(() => Promise.all(this.#polls))])
    finished.abort()
    this.#clients.destroy()
  }

  #refuseIfClosed(): void {
    if (this.#closing !== undefined) throw new MessagingError('closed', 'The connection to SQS is closed')
  }

  #outgoing(message: OutboundMessage, destination: Destination): Outgoing {
    const { body, contentType, attributes, headers, key, id, delayMs } = message
    const mirrored: Record<string, string> = {}
    for (const name of this.#options.mirrorAttributes) {
      const value = attributes[name]
      if (value !== undefined) mirrored[`ce-${name}`] = value
    }
    const { seconds, carriedMs } = splitDelay(
      delayMs,
      destination.knowsDelays ? this.#options.limits.delayMs : 0,
    )
    return {
      body,
      contentType,
      headers: { ...mirrored, ...headers },
      ...(destination.isFifo && { fifo: placeOf(key, deduplicationIdOf(attributes.source, id)) }),
      ...(delayMs > 0 && { delaySeconds: seconds, delayMs: carriedMs }),
    }
  }
}
