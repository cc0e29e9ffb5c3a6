import type { Admin, Broker, Cluster } from 'kafkajs'
import { atMost, type Client, createClient } from '../client/client.ts'
import { askForLatest, leaveGroup } from '../client/client-faults.ts'
import { brokerErrorOf } from '../errors.ts'
import type { Settings } from '../options.ts'

/** Where a group stands in a partition, as the broker has it. */
export interface CommittedOffset {
  readonly partition: number
  /** -1 without a commit. */
  readonly offset: number
  readonly metadata: string | null
}

export interface PartitionCommit {
  readonly partition: number
  readonly offset: string
  readonly metadata: string
}

export interface TopicCommits {
  readonly topic: string
  readonly partitions: readonly PartitionCommit[]
}

/** A member's commit is fenced by its generation; without one it is accepted only while the group has no members. */
export interface Membership {
  readonly memberId: string
  readonly generation: number
}

const noMember: Membership = { memberId: '', generation: -1 }

const closeTimeoutMs = 2000

/** What a broker says of partitions that it does not know yet, or no longer. */
const notServed = [
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
]

/** What of a group needs the cluster behind a consumer. */
export class GroupCoordinator {
  readonly #cluster: Pick<Cluster, 'findGroupCoordinator'>
  readonly #groupId: string
  #broker: Broker | undefined

  constructor(cluster: Pick<Cluster, 'findGroupCoordinator'>, groupId: string) {
    this.#cluster = cluster
    this.#groupId = groupId
  }

  async commit(
    topics: readonly TopicCommits[],
    { memberId, generation }: Membership = noMember,
  ): Promise<void> {
    const groupId = this.#groupId
    await this.#ask((broker) =>
      broker.offsetCommit({
        groupId,
        groupGenerationId: generation,
        memberId,
        topics: topics.map(({ topic, partitions }) => ({ topic, partitions: [...partitions] })),
      }),
    )
  }

  /** By topic. */
  async committed(
    topics: Readonly<Record<string, readonly number[]>>,
  ): Promise<Map<string, readonly CommittedOffset[]>> {
    const groupId = this.#groupId
    // The client's type wants the offsets that are asked for.
    const wanted = Object.entries(topics).map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map((partition) => ({ partition, offset: '' })),
    }))
    const { responses } = await this.#ask((broker) => broker.offsetFetch({ groupId, topics: wanted }))
    return new Map(
      responses.map(({ topic, partitions }) => [
        topic,
        partitions.map((each) => ({
          partition: each.partition,
          offset: Number(each.offset),
          metadata: 'metadata' in each && typeof each.metadata === 'string' ? each.metadata : null,
        })),
      ]),
    )
  }

  /** Ends the membership of a member that could not do so itself. */
  async dismiss(memberId: string): Promise<void> {
    await this.#ask((broker) => leaveGroup(broker, this.#groupId, memberId))
  }

  async #ask<Answer>(question: (broker: Broker) => Promise<Answer>): Promise<Answer> {
    try {
      this.#broker ??= await this.#cluster.findGroupCoordinator({ groupId: this.#groupId })
      return await question(this.#broker)
    } catch (error) {
      this.#broker = undefined
      throw error
    }
  }
}

/**
 * The administrative side of a connection: kafkajs's admin client, and beside it a cluster as kafkajs hands it to a
 * partition assigner, for what the admin client lacks: commits without membership, and reading without a group.
 */
export class Gateway {
  readonly #client: Client
  readonly #admin: Admin
  readonly #cluster: Cluster
  #connected: Promise<unknown> | undefined

  constructor(settings: Settings, instance: string) {
    this.#client = createClient(settings, `${instance}-admin`, { retries: 3, initialRetryTime: 100 })
    const { kafka, sockets } = this.#client
    this.#admin = kafka.admin()
    this.#admin.on(this.#admin.events.REQUEST_TIMEOUT, ({ payload }) => sockets.cut(payload.broker))
    let cluster: Cluster | undefined
    const consumer = kafka.consumer({
      groupId: 'none',
      allowAutoTopicCreation: false,
      partitionAssigners: [
        (access) => {
          cluster = access.cluster
          return {
            name: 'none',
            version: 0,
            assign: async () => [],
            protocol: () => ({ name: 'none', metadata: Buffer.alloc(0) }),
          }
        },
      ],
    })
    consumer.on(consumer.events.REQUEST_TIMEOUT, ({ payload }) => sockets.cut(payload.broker))
    if (cluster === undefined) throw new Error('kafkajs made a consumer without its partition assigner')
    this.#cluster = cluster
  }

  async connect(): Promise<void> {
    this.#connected ??= Promise.all([this.#admin.connect(), this.#cluster.connect()])
    await this.#connected
  }

  get admin(): Admin {
    return this.#admin
  }

  /** The number of a topic's partitions, or undefined when it does not exist or is not led by anybody yet. */
  async partitionCount(topic: string): Promise<number | undefined> {
    try {
      const { topicMetadata } = await (await this.#anyBroker()).metadata([topic])
      const partitions = topicMetadata[0]?.partitionMetadata ?? []
      return partitions.length === 0 ? undefined : partitions.length
    } catch (error) {
      const type = brokerErrorOf(error)
      if (type !== undefined && notServed.includes(type)) return undefined
      throw error
    }
  }

  /**
   * Whether each partition's leader serves it. A broker names itself the leader of a new partition some time before it is
   * ready to be.
   */
  async areServed(topics: readonly string[]): Promise<boolean> {
    try {
      const { topicMetadata } = await (await this.#anyBroker()).metadata([...topics])
      const byLeader = new Map<number, { topic: string; partition: number }[]>()
      for (const { topic, partitionMetadata } of topicMetadata) {
        for (const { leader, partitionId } of partitionMetadata) {
          const list = byLeader.get(leader) ?? []
          list.push({ topic, partition: partitionId })
          byLeader.set(leader, list)
        }
      }
      await Promise.all(
        [...byLeader].map(async ([nodeId, partitions]) =>
          askForLatest(await this.#cluster.findBroker({ nodeId: String(nodeId) }), partitions),
        ),
      )
      return true
    } catch (error) {
      if (notServed.includes(brokerErrorOf(error) ?? '')) return false
      throw error
    }
  }

  /** By partition: the offset of the earliest record, the one after the latest, or the first of a time or later. */
  async offsets(topic: string, at: 'earliest' | 'latest' | number): Promise<Map<number, number>> {
    await this.#follow(topic)
    const partitions = this.#cluster
      .findTopicPartitionMetadata(topic)
      .map(({ partitionId }) => ({ partition: partitionId }))
    const [offsets] = await this.#cluster.fetchTopicsOffset([
      typeof at === 'number'
        ? { topic, partitions, fromTimestamp: at }
        : { topic, partitions, fromBeginning: at === 'earliest' },
    ])
    return new Map(offsets?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
  }

  /** The broker that leads a partition, to read from. */
  async leaderOf(topic: string, partition: number): Promise<Broker> {
    await this.#follow(topic)
    const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]))
    return nodeId === undefined ? this.#anyBroker() : this.#cluster.findBroker({ nodeId })
  }

  async coordinatorOf(groupId: string): Promise<GroupCoordinator> {
    await this.#anyBroker()
    return new GroupCoordinator(this.#cluster, groupId)
  }

  async close(): Promise<void> {
    await atMost(closeTimeoutMs, Promise.all([this.#admin.disconnect(), this.#cluster.disconnect()]))
    this.#client.sockets.close()
  }

  async #follow(topic: string): Promise<void> {
    await this.#cluster.addMultipleTargetTopics([topic])
    if (this.#cluster.findTopicPartitionMetadata(topic).length === 0) await this.#cluster.refreshMetadata()
  }

  async #anyBroker(): Promise<Broker> {
    if (this.#cluster.getNodeIds().length === 0) await this.#cluster.refreshMetadata()
    const [nodeId] = this.#cluster.getNodeIds()
    // The client's types say number; its keys are text.
    return this.#cluster.findBroker({ nodeId: String(nodeId) })
  }
}
