import type { Admin, Cluster } from 'kafkajs'
import type { KafkaSettings } from '../options.ts'
import { raiseBatchBytes } from './batch-bytes.ts'
import { listOffsets, type TopicPartition } from './broker-requests.ts'
import { atMost, type Client, createClient } from './client.ts'
import { brokerErrorOf } from './faults.ts'
import { GroupCoordinator } from './group-coordinator.ts'
import { kafkajs } from './kafkajs.ts'
import { anyBroker, Logs } from './logs.ts'
import { topicIds } from './topic-ids.ts'

const closeTimeoutMs = 2000

/** Error codes for partitions that a broker does not know yet, or no longer knows. */
const notServed = [
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
]

export interface NewTopic {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number | undefined
  readonly config: Readonly<Record<string, string>>
}

export interface GroupMemberInfo {
  readonly clientId: string
  /** Partitions by topic. */
  readonly assignment: Readonly<Record<string, readonly number[]>>
}

/**
 * The administrative side of a connection: kafkajs's admin client, and beside it a cluster as kafkajs hands it to a
 * partition assigner, for what the admin client lacks: commits without membership, and reading without a group.
 */
export class Gateway {
  readonly logs: Logs
  #hasDeleted = false
  readonly #client: Client
  readonly #admin: Admin
  readonly #cluster: Cluster
  #connected: Promise<unknown> | undefined

  constructor(settings: KafkaSettings, instance: string, warn: (message: string) => void) {
    const retry = { retries: 3, initialRetryTime: 100 }
    this.#client = createClient({ settings, instance: `${instance}-admin`, retry, warn })
    const { kafka, sockets } = this.#client
    this.#admin = kafka.admin()
    this.#admin.on(this.#admin.events.REQUEST_TIMEOUT, ({ payload }) => sockets.cut(payload.broker))
    let cluster: Cluster | undefined
    const consumer = kafka.consumer({
      groupId: 'none',
      allowAutoTopicCreation: false,
      metadataMaxAge: settings.metadataInterval,
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
    this.logs = new Logs(cluster)
  }

  async connect(): Promise<void> {
    this.#connected ??= Promise.all([this.#admin.connect(), this.#cluster.connect()])
    await this.#connected
  }

  get admin(): Admin {
    return this.#admin
  }

  async listTopics(): Promise<readonly string[]> {
    return this.#admin.listTopics()
  }

  async listGroups(): Promise<readonly string[]> {
    const { groups } = await this.#admin.listGroups()
    return groups.map(({ groupId }) => groupId)
  }

  async createTopics(topics: readonly NewTopic[], timeout: number): Promise<void> {
    // kafkajs gives up on a topic that brokers do not know yet, so the waiting is the caller's.
    await this.#admin.createTopics({
      waitForLeaders: false,
      timeout,
      topics: topics.map(({ name, partitions, replicationFactor, config }) => ({
        topic: name,
        numPartitions: partitions,
        configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
        ...(replicationFactor !== undefined && { replicationFactor }),
      })),
    })
  }

  /** Raises the number of partitions of a topic. */
  async addPartitions(topic: string, count: number): Promise<void> {
    await this.#admin.createPartitions({ topicPartitions: [{ topic, count }] })
  }

  /** See `raiseBatchBytes`. */
  async raiseBatchBytes(topic: string, bytes: number): Promise<boolean> {
    return raiseBatchBytes(this.#admin, topic, bytes)
  }

  /** The ids of topics by name, of those that exist; none where the broker is too old to tell. */
  async topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return topicIds(await anyBroker(this.#cluster), topics)
  }

  /**
   * kafkajs keeps requesting the metadata of deleted topics, and fails once it does: such a gateway has to be replaced
   * soon.
   */
  get hasDeleted(): boolean {
    return this.#hasDeleted
  }

  async deleteTopics(topics: readonly string[]): Promise<void> {
    this.#hasDeleted = true
    await this.#admin.deleteTopics({ topics: [...topics] })
  }

  async deleteGroup(groupId: string): Promise<void> {
    await this.#admin.deleteGroups([groupId])
  }

  async describeCluster(): Promise<object> {
    return this.#admin.describeCluster()
  }

  async members(groupId: string): Promise<readonly GroupMemberInfo[]> {
    const { groups } = await this.#admin.describeGroups([groupId])
    const { MemberAssignment } = kafkajs.AssignerProtocol
    return (groups[0]?.members ?? []).map(({ clientId, memberAssignment }) => {
      const decoded = memberAssignment.length === 0 ? null : MemberAssignment.decode(memberAssignment)
      return { clientId, assignment: decoded?.assignment ?? {} }
    })
  }

  /** The number of a topic's partitions, or undefined when it does not exist or is not led by anybody yet. */
  async partitionCount(topic: string): Promise<number | undefined> {
    try {
      const { topicMetadata } = await (await anyBroker(this.#cluster)).metadata([topic])
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
      const { topicMetadata } = await (await anyBroker(this.#cluster)).metadata([...topics])
      const byLeader = new Map<number, TopicPartition[]>()
      for (const { topic, partitionMetadata } of topicMetadata) {
        for (const { leader, partitionId } of partitionMetadata) {
          const list = byLeader.get(leader) ?? []
          list.push({ topic, partition: partitionId })
          byLeader.set(leader, list)
        }
      }
      await Promise.all(
        [...byLeader].map(async ([nodeId, partitions]) =>
          listOffsets(await this.#cluster.findBroker({ nodeId: String(nodeId) }), partitions, 'latest'),
        ),
      )
      return true
    } catch (error) {
      if (notServed.includes(brokerErrorOf(error) ?? '')) return false
      throw error
    }
  }

  async coordinatorOf(groupId: string): Promise<GroupCoordinator> {
    await anyBroker(this.#cluster)
    return new GroupCoordinator((request) => this.#cluster.findGroupCoordinator(request), groupId)
  }

  async close(): Promise<void> {
    await atMost(closeTimeoutMs, Promise.all([this.#admin.disconnect(), this.#cluster.disconnect()]))
    await this.#client.sockets.close()
  }
}
