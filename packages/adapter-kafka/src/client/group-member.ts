import type { Assigner, Broker, Cluster, Consumer } from 'kafkajs'
import type { KafkaSettings } from '../options.ts'
import { assignPartitions, decodeOwned, encodeOwned } from '../wire/assignment.ts'
import type { ConsumedRecord } from '../wire/records.ts'
import { atMost, type Client, createClient } from './client.ts'
import { brokerErrorOf } from './faults.ts'
import { GroupCoordinator, type Membership, type TopicCommits } from './group-coordinator.ts'
import { kafkajs } from './kafkajs.ts'

/** What a member reads: partitions by topic. */
export type Assignment = Readonly<Record<string, readonly number[]>>

/** What one fetch brought of a partition. */
export interface FetchedBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly ConsumedRecord[]
  readonly firstOffset: number
  readonly lastOffset: number
  /** Fetching goes on behind this record. */
  resolve(offset: string): void
  /** Whether it was fetched before fetching was told to go on elsewhere. */
  isStale(): boolean
  heartbeat(): Promise<void>
}

export interface GroupMemberOptions {
  readonly settings: KafkaSettings
  readonly instance: string
  readonly groupId: string
  /** The first of them carries most of the load: its partitions are shared out evenly among themselves. */
  readonly topics: readonly [string, ...string[]]
  /** Members of this process that could not leave; shared by all its subscriptions to the group. */
  readonly strays: Set<string>
  readonly warn: (message: string) => void
}

export interface GroupMemberEvents {
  /**
   * It is about to join, again if it was a member: until `joined` its partitions are about to go, and the group waits for
   * the result. `silentMs`: since it last reported to the group.
   */
  leaving(silentMs: number): Promise<void>
  joined(assignment: Assignment, membership: Membership): void
  /** Must take what it wants of the batch without delay. */
  batch(batch: FetchedBatch): Promise<void>
  /** There is no record at these offsets; `to` is exclusive. */
  nothing(topic: string, partition: number, from: number, to: number): void
  /** The broker has nothing where we read: it is behind us, or has removed what was there. */
  outOfRange(topic: string, partition: number): void
  /** How long a fetch may wait for something to arrive. */
  fetchWaitMs(): number
  /** It is over. */
  failed(error: Error): void
}

const closeTimeoutMs = 5000

/** Between two fetches of what the broker cannot give at the moment. */
const unavailablePauseMs = 200

/**
 * Patience with a coordinator or leader that moves. A broker's restart takes longer and ends the member; core subscribes
 * again.
 */
const retry = { initialRetryTime: 100, multiplier: 2, maxRetryTime: 1000, retries: 5 }

// Part of the group's protocol: members of different versions must not divide partitions by different rules.
const protocolName = 'waybill-1'

/** A member of a consumer group: kafkajs's consumer, with its pitfalls worked around. */
export class GroupMember {
  readonly #client: Client
  readonly #consumer: Consumer
  readonly #events: GroupMemberEvents
  readonly #options: GroupMemberOptions
  readonly #cluster: Cluster
  readonly #coordinator: GroupCoordinator
  readonly #running = Promise.withResolvers<void>()
  readonly #watched = new WeakSet<Broker>()
  #owned: readonly number[] = []
  #membership: Membership = { memberId: '', generation: -1 }
  #reportedAt = performance.now()
  #ended = false

  constructor(options: GroupMemberOptions, events: GroupMemberEvents) {
    this.#options = options
    this.#events = events
    this.#running.promise.catch(() => {})
    const { settings, groupId, instance, warn } = options
    this.#client = createClient({ settings, instance, retry, warn })
    let cluster: Cluster | undefined
    this.#consumer = this.#client.kafka.consumer({
      groupId,
      allowAutoTopicCreation: false,
      sessionTimeout: settings.sessionTimeout,
      rebalanceTimeout: settings.rebalanceTimeout,
      heartbeatInterval: settings.heartbeatInterval,
      metadataMaxAge: settings.metadataInterval,
      maxWaitTimeInMs: settings.fetchWait,
      maxBytesPerPartition: settings.fetchBytesPerPartition,
      ...(settings.rackId !== undefined && { rackId: settings.rackId }),
      // Restarting is core's business: it knows what it holds.
      retry: { ...retry, restartOnFailure: async () => false },
      partitionAssigners: [
        (access) => {
          cluster = access.cluster
          return this.#assigner(access.cluster)
        },
      ],
    })
    if (cluster === undefined) throw new Error('kafkajs made a consumer without its partition assigner')
    this.#cluster = cluster
    this.#coordinator = new GroupCoordinator(this.#hook(cluster), groupId)
    this.#listen()
  }

  get consumer(): Consumer {
    return this.#consumer
  }

  get coordinator(): GroupCoordinator {
    return this.#coordinator
  }

  /** Resolves once it has its first assignment and reads. */
  async start(): Promise<void> {
    await this.#consumer.connect()
    await this.#dismissStrays()
    // Groups start where we say, and this only keeps kafkajs from looking for the end of what was never committed.
    await this.#consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true })
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: ({ batch, resolveOffset, heartbeat, isStale }) =>
        this.#events.batch({
          topic: batch.topic,
          partition: batch.partition,
          records: batch.messages,
          firstOffset: Number(batch.firstOffset()),
          lastOffset: Number(batch.lastOffset()),
          resolve: resolveOffset,
          isStale,
          heartbeat,
        }),
    })
    await this.#running.promise
  }

  /**
   * Past kafkajs's own commit, which after a rebalance would try a failed one again as the new generation, for partitions
   * that have another owner by then.
   */
  async commit(topics: readonly TopicCommits[], membership: Membership): Promise<void> {
    await this.#coordinator.commit(topics, membership)
  }

  /** Since it last reported to the group. */
  get silentMs(): number {
    return performance.now() - this.#reportedAt
  }

  /** By what the client knows at the moment; 0 while it knows nothing. */
  partitionCount(topic: string): number {
    try {
      return this.#cluster.findTopicPartitionMetadata(topic).length
    } catch {
      // It has lost its connection, and with that what it knew.
      return 0
    }
  }

  pause(topic: string, partitions: readonly number[]): void {
    if (!this.#ended) this.#consumer.pause([{ topic, partitions: [...partitions] }])
  }

  resume(topic: string, partitions: readonly number[]): void {
    if (!this.#ended) this.#consumer.resume([{ topic, partitions: [...partitions] }])
  }

  seek(topic: string, partition: number, offset: number): void {
    if (!this.#ended) this.#consumer.seek({ topic, partition, offset: String(offset) })
  }

  async close(): Promise<void> {
    this.#ended = true
    await atMost(closeTimeoutMs, this.#consumer.disconnect())
    await this.#client.sockets.close()
  }

  async #dismissStrays(): Promise<void> {
    const { strays } = this.#options
    for (const memberId of strays) {
      strays.delete(memberId)
      try {
        await this.#coordinator.dismiss(memberId)
      } catch (error) {
        // It has left already, or its session will time out.
        if (brokerErrorOf(error) === undefined) throw error
      }
    }
  }

  /** Gets between the consumer and its brokers; returns how to find a group's coordinator without that. */
  #hook(cluster: Cluster): (request: { readonly groupId: string }) => Promise<Broker> {
    const findBroker = cluster.findBroker.bind(cluster)
    const findGroupCoordinator = cluster.findGroupCoordinator.bind(cluster)
    cluster.findBroker = async (request) => {
      const broker = await findBroker(request)
      if (!this.#watched.has(broker)) {
        this.#watched.add(broker)
        this.#watchFetches(broker)
        this.#watchJoins(broker)
      }
      return broker
    }
    // What kafkajs does first when it joins, for whatever reason; it has no other place to wait before it does.
    cluster.findGroupCoordinator = async (request) => {
      if (!this.#ended) await this.#events.leaving(this.silentMs)
      return findGroupCoordinator(request)
    }
    return findGroupCoordinator
  }

  /** kafkajs answers a position that is out of range by committing -2, which tells others nothing, and reads on. */
  #watchFetches(broker: Broker): void {
    const fetch = broker.fetch.bind(broker)
    broker.fetch = async (request): Promise<unknown> => {
      try {
        return await fetch({ ...request, maxWaitTime: this.#events.fetchWaitMs() })
      } catch (error) {
        const type = brokerErrorOf(error)
        // The second comes from a follower that does not yet know how far it may serve.
        if (type !== 'OFFSET_OUT_OF_RANGE' && type !== 'OFFSET_NOT_AVAILABLE') throw error
        if (type === 'OFFSET_OUT_OF_RANGE' && !this.#ended && isAboutPartition(error)) {
          this.#events.outOfRange(error.topic, error.partition)
        }
        await new Promise((resolve) => setTimeout(resolve, unavailablePauseMs))
        return { responses: [] }
      }
    }
  }

  /** kafkajs tells the generation only with commits of its own. */
  #watchJoins(broker: Broker): void {
    if (!canJoin(broker)) return
    const join = broker.joinGroup.bind(broker)
    broker.joinGroup = async (request) => {
      const joined = await join(request)
      this.#membership = { memberId: joined.memberId, generation: joined.generationId }
      return joined
    }
  }

  #listen(): void {
    const { events } = this.#consumer
    const { sockets } = this.#client
    this.#consumer.on(events.REQUEST_TIMEOUT, ({ payload }) => sockets.cut(payload.broker))
    this.#consumer.on(events.HEARTBEAT, () => {
      this.#reportedAt = performance.now()
    })
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => {
      this.#reportedAt = performance.now()
      this.#owned = [...new Set(Object.values(payload.memberAssignment).flat())]
      if (!this.#ended) this.#events.joined(payload.memberAssignment, this.#membership)
    })
    // Batches without a message do not come to `batch`.
    this.#consumer.on(events.START_BATCH_PROCESS, ({ payload }) => {
      const { batchSize, topic, partition, firstOffset, lastOffset } = payload
      if (batchSize > 0 || this.#ended) return
      this.#events.nothing(topic, partition, Number(firstOffset), Number(lastOffset) + 1)
    })
    // Only from here on can it be stopped: a stop before it would find nothing to stop.
    this.#consumer.on(events.FETCH_START, () => this.#running.resolve())
    this.#consumer.on(events.CRASH, ({ payload }) => {
      this.#running.reject(payload.error)
      const { memberId } = this.#membership
      if (memberId !== '') this.#options.strays.add(memberId)
      if (!this.#ended) this.#events.failed(payload.error)
    })
  }

  #assigner(cluster: Cluster): Assigner {
    const { topics } = this.#options
    const { MemberMetadata, MemberAssignment } = kafkajs.AssignerProtocol
    const countOf = (topic: string) => cluster.findTopicPartitionMetadata(topic).length
    return {
      name: protocolName,
      version: 1,
      protocol: ({ topics: names }) => ({
        name: protocolName,
        metadata: MemberMetadata.encode({ version: 1, topics: names, userData: encodeOwned(this.#owned) }),
      }),
      assign: async ({ members }) => {
        const assigned = assignPartitions(
          members.map(({ memberId, memberMetadata }) => ({
            id: memberId,
            owned: decodeOwned(MemberMetadata.decode(memberMetadata)?.userData ?? null),
          })),
          Object.fromEntries(topics.map((name) => [name, countOf(name)])),
          countOf(topics[0]),
          // With fewer partitions than the topic they would all fall to the members that have its first ones.
          topics.slice(1, 2).filter((name) => countOf(name) !== countOf(topics[0])),
        )
        return [...assigned].map(([memberId, assignment]) => ({
          memberId,
          memberAssignment: MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) }),
        }))
      },
    }
  }
}

function isAboutPartition(error: unknown): error is { readonly topic: string; readonly partition: number } {
  return typeof error === 'object' && error !== null && 'topic' in error && 'partition' in error
}

interface CanJoin {
  joinGroup(request: object): Promise<{ readonly memberId: string; readonly generationId: number }>
}

function canJoin(broker: Broker): broker is Broker & CanJoin {
  return 'joinGroup' in broker && typeof broker.joinGroup === 'function'
}
