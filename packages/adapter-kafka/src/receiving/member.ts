import type { Assigner, Cluster, Consumer, EachBatchPayload } from 'kafkajs'
import { atMost, type Client, createClient } from '../client/client.ts'
import { kafkajs } from '../client/kafkajs.ts'
import { GroupCoordinator, type Membership, type TopicCommits } from '../connection/gateway.ts'
import { brokerErrorOf } from '../errors.ts'
import type { Settings } from '../options.ts'
import { assignPartitions, decodeOwned, encodeOwned } from './assignment.ts'

/** What a member reads: partitions by topic. */
export type Assignment = Readonly<Record<string, readonly number[]>>

export interface MemberOptions {
  readonly settings: Settings
  readonly instance: string
  readonly groupId: string
  readonly topics: readonly string[]
  /** How many partitions the topic itself has, which are shared out evenly. */
  readonly mainCount: number
  /** Members of this process that could not leave; shared by all its subscriptions to the group. */
  readonly strays: Set<string>
}

export interface MemberEvents {
  /** The group divides its partitions anew. Until `assigned`, ours are about to go; the group waits for the result. */
  revoking(): Promise<void>
  assigned(assignment: Assignment): void
  /** Must take what it wants of the batch without delay. */
  batch(payload: EachBatchPayload): Promise<void>
  /** There is no message at these offsets; `to` is exclusive. */
  nothing(topic: string, partition: number, from: number, to: number): void
  /** It is over. */
  failed(error: Error): void
}

const closeTimeoutMs = 5000

/**
 * Patience with a coordinator or leader that moves. A broker's restart takes longer and ends the member; core subscribes
 * again.
 */
const retry = { initialRetryTime: 100, multiplier: 2, maxRetryTime: 1000, retries: 5 }

// Part of the group's protocol: members of different versions must not divide partitions by different rules.
const protocolName = 'waybill-1'

/** A member of a consumer group: kafkajs's consumer with its traps walked around. */
export class Member {
  readonly #client: Client
  readonly #consumer: Consumer
  readonly #events: MemberEvents
  readonly #options: MemberOptions
  readonly #coordinator: GroupCoordinator
  readonly #running = Promise.withResolvers<void>()
  #owned: readonly number[] = []
  #revoked: Promise<void> = Promise.resolve()
  #membership: Membership | undefined
  #memberId: string | undefined
  #ended = false

  constructor(options: MemberOptions, events: MemberEvents) {
    this.#options = options
    this.#events = events
    this.#running.promise.catch(() => {})
    const { settings, groupId, instance } = options
    this.#client = createClient(settings, instance, retry)
    let cluster: Cluster | undefined
    this.#consumer = this.#client.kafka.consumer({
      groupId,
      allowAutoTopicCreation: false,
      sessionTimeout: settings.sessionTimeout,
      rebalanceTimeout: settings.rebalanceTimeout,
      heartbeatInterval: settings.heartbeatInterval,
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
    const find = cluster.findGroupCoordinator.bind(cluster)
    this.#coordinator = new GroupCoordinator({ findGroupCoordinator: find }, groupId)
    // What kafkajs does first when it joins again; it has no other place to wait before it does.
    cluster.findGroupCoordinator = async (request) => {
      await this.#revoked
      return find(request)
    }
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
    // Groups start where we say. This is for what retention removed before it was read: it goes on with what is left,
    // where kafkajs would skip to the end.
    await this.#consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true })
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => this.#events.batch(payload),
    })
    await this.#running.promise
  }

  /** The first commit of a generation; the client tells by it which generation that is. */
  async claim(topics: readonly TopicCommits[]): Promise<void> {
    await this.#consumer.commitOffsets(
      topics.flatMap(({ topic, partitions }) => partitions.map((each) => ({ topic, ...each }))),
    )
  }

  /**
   * Past kafkajs's own commit, which after a rebalance would try a failed one again as the new generation, for partitions
   * that have another owner by then.
   */
  async commit(topics: readonly TopicCommits[]): Promise<void> {
    if (this.#membership === undefined) throw new Error('Not a member of the group at the moment')
    await this.#coordinator.commit(topics, this.#membership)
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
    this.#client.sockets.close()
  }

  async #dismissStrays(): Promise<void> {
    const { strays } = this.#options
    for (const memberId of strays) {
      strays.delete(memberId)
      try {
        await this.#coordinator.dismiss(memberId)
      } catch (error) {
        // It is gone already, and if not, its session ends.
        if (brokerErrorOf(error) === undefined) throw error
      }
    }
  }

  #listen(): void {
    const { events } = this.#consumer
    const { sockets } = this.#client
    this.#consumer.on(events.REQUEST_TIMEOUT, ({ payload }) => sockets.cut(payload.broker))
    this.#consumer.on(events.REBALANCING, () => {
      if (!this.#ended) this.#revoked = this.#events.revoking()
    })
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => {
      this.#memberId = payload.memberId
      this.#membership = undefined
      this.#owned = [...new Set(Object.values(payload.memberAssignment).flat())]
      if (!this.#ended) this.#events.assigned(payload.memberAssignment)
    })
    this.#consumer.on(events.COMMIT_OFFSETS, ({ payload }) => {
      this.#membership = { memberId: payload.memberId, generation: payload.groupGenerationId }
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
      if (this.#memberId !== undefined) this.#options.strays.add(this.#memberId)
      if (!this.#ended) this.#events.failed(payload.error)
    })
  }

  #assigner(cluster: Cluster): Assigner {
    const { topics, mainCount } = this.#options
    const { MemberMetadata, MemberAssignment } = kafkajs.AssignerProtocol
    return {
      name: protocolName,
      version: 1,
      protocol: ({ topics: names }) => ({
        name: protocolName,
        metadata: MemberMetadata.encode({ version: 1, topics: names, userData: encodeOwned(this.#owned) }),
      }),
      assign: async ({ members }) => {
        const counts = Object.fromEntries(
          topics.map((name) => [name, cluster.findTopicPartitionMetadata(name).length]),
        )
        const assigned = assignPartitions(
          members.map(({ memberId, memberMetadata }) => ({
            id: memberId,
            owned: decodeOwned(MemberMetadata.decode(memberMetadata)?.userData ?? null),
          })),
          counts,
          mainCount,
        )
        return [...assigned].map(([memberId, assignment]) => ({
          memberId,
          memberAssignment: MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) }),
        }))
      },
    }
  }
}
