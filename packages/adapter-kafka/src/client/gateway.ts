import type { Admin, Broker, Cluster } from 'kafkajs'
import type { KafkaSettings } from '../options.ts'
import type { ConsumedRecord } from '../wire/records.ts'
import { listOffsets, type TopicPartition } from './broker-requests.ts'
import { atMost, type Client, createClient } from './client.ts'
import { brokerErrorOf } from './faults.ts'
import { GroupCoordinator } from './group-coordinator.ts'
import { kafkajs } from './kafkajs.ts'
import { topicIds } from './topic-ids.ts'

const closeTimeoutMs = 2000

/** What a broker says of partitions that it does not know yet, or no longer. */
const notServed = [
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
]

/** The largest batch a topic takes (Kafka documentation, "Topic Configs"). */
const batchBytesConfig = 'max.message.bytes'
/** Below it not even the record of a failure fits. */
const leastBatchBytes = 64 * 1024

/** What the broker has of a partition: `end` is the offset that the next record gets. */
export interface LogRange {
  readonly start: number
  readonly end: number
}

/** A topic's log at the broker. */
export interface TopicLog {
  /** It changes when the topic is deleted and recreated; undefined if the broker is too old to report it. */
  readonly id: string | undefined
  readonly ranges: ReadonlyMap<number, LogRange>
}

export interface NewTopic {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number | undefined
  readonly config: Readonly<Record<string, string>>
}

export interface FetchedRecords {
  readonly records: readonly ConsumedRecord[]
  /** Where to read on. `from` when the broker gave nothing, which does not tell that there is nothing. */
  readonly next: number
  /** Whether the broker asked for patience. */
  readonly isThrottled: boolean
}

type FetchedRecord = ConsumedRecord & { readonly isControlRecord?: boolean }

/** What a fetch gives (Kafka protocol guide, "Fetch API"). */
interface FetchAnswer {
  readonly clientSideThrottleTime?: number
  readonly responses: readonly {
    readonly partitions: readonly { readonly messages: readonly FetchedRecord[] }[]
  }[]
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

  /** Gives a topic so many partitions. */
  async addPartitions(topic: string, count: number): Promise<void> {
    await this.#admin.createPartitions({ topicPartitions: [{ topic, count }] })
  }

  /** Has a topic take batches of so many bytes, and changes nothing else of it; false if it takes as good as none. */
  async raiseBatchBytes(topic: string, bytes: number): Promise<boolean> {
    const type = kafkajs.ConfigResourceTypes.TOPIC
    const { resources } = await this.#admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type, name: topic }],
    })
    const entries = resources[0]?.configEntries ?? []
    const limit = Number(entries.find(({ configName }) => configName === batchBytesConfig)?.configValue)
    // Somebody's way to keep it from being written.
    if (limit < leastBatchBytes) return false
    // What is sent is all that the topic has of its own afterwards.
    const own = entries.filter(
      (entry) => 'configSource' in entry && entry.configSource === kafkajs.ConfigSource.TOPIC_CONFIG,
    )
    const configEntries = own
      .map(({ configName, configValue }) => ({ name: configName, value: configValue }))
      .filter(({ name }) => name !== batchBytesConfig)
    await this.#admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type,
          name: topic,
          configEntries: [...configEntries, { name: batchBytesConfig, value: String(bytes) }],
        },
      ],
    })
    return true
  }

  /** The ids of topics by name, of those that exist; none where the broker is too old to tell. */
  async topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return topicIds(await this.#anyBroker(), topics)
  }

  /** kafkajs goes on asking for the metadata of topics that are deleted, and fails then: to be replaced soon. */
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

  /** The partitions' ranges at the broker, by topic, asked each time. */
  async logs(partitions: Readonly<Record<string, readonly number[]>>): Promise<Map<string, TopicLog>> {
    const names = Object.keys(partitions)
    for (const name of names) await this.#follow(name)
    await this.#cluster.refreshMetadata()
    const ids = await topicIds(await this.#anyBroker(), names)
    const byLeader = new Map<string, TopicPartition[]>()
    for (const [topic, indexes] of Object.entries(partitions)) {
      for (const [nodeId, led] of Object.entries(
        this.#cluster.findLeaderForPartitions(topic, [...indexes]),
      )) {
        const list = byLeader.get(nodeId) ?? []
        for (const partition of led) list.push({ topic, partition })
        byLeader.set(nodeId, list)
      }
    }
    const ranges = new Map(names.map((name) => [name, new Map<number, LogRange>()]))
    await Promise.all(
      [...byLeader].map(async ([nodeId, led]) => {
        const broker = await this.#cluster.findBroker({ nodeId })
        const starts = await listOffsets(broker, led, 'earliest')
        const ends = await listOffsets(broker, led, 'latest')
        const endOf = new Map(ends.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]))
        for (const { topic, partition, offset: start } of starts) {
          ranges.get(topic)?.set(partition, { start, end: endOf.get(`${topic}/${partition}`) ?? start })
        }
      }),
    )
    return new Map(names.map((name) => [name, { id: ids.get(name), ranges: ranges.get(name) ?? new Map() }]))
  }

  /** Reads a partition past all groups, only what is committed. */
  async read(
    topic: string,
    partition: number,
    from: number,
    { maxBytes, maxWaitMs }: { readonly maxBytes: number; readonly maxWaitMs: number },
  ): Promise<FetchedRecords> {
    const leader = await this.#leaderOf(topic, partition)
    const answer: FetchAnswer = await leader.fetch({
      maxWaitTime: maxWaitMs,
      minBytes: 1,
      maxBytes,
      isolationLevel: 1,
      topics: [{ topic, partitions: [{ partition, fetchOffset: String(from), maxBytes }] }],
    })
    const all = answer.responses.flatMap(({ partitions }) => partitions.flatMap(({ messages }) => messages))
    const last = all.at(-1)
    return {
      records: all.filter(
        ({ offset, isControlRecord }) => Number(offset) >= from && isControlRecord !== true,
      ),
      next: last === undefined ? from : Math.max(Number(last.offset) + 1, from),
      isThrottled: (answer.clientSideThrottleTime ?? 0) > 0,
    }
  }

  async coordinatorOf(groupId: string): Promise<GroupCoordinator> {
    await this.#anyBroker()
    return new GroupCoordinator((request) => this.#cluster.findGroupCoordinator(request), groupId)
  }

  async close(): Promise<void> {
    await atMost(closeTimeoutMs, Promise.all([this.#admin.disconnect(), this.#cluster.disconnect()]))
    await this.#client.sockets.close()
  }

  /** The broker that leads a partition, to read from. */
  async #leaderOf(topic: string, partition: number): Promise<Broker> {
    await this.#follow(topic)
    const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]))
    return nodeId === undefined ? this.#anyBroker() : this.#cluster.findBroker({ nodeId })
  }

  async #follow(topic: string): Promise<void> {
    await this.#cluster.addMultipleTargetTopics([topic])
    await this.#cluster.refreshMetadataIfNecessary()
    if (this.#cluster.findTopicPartitionMetadata(topic).length === 0) await this.#cluster.refreshMetadata()
  }

  async #anyBroker(): Promise<Broker> {
    if (this.#cluster.getNodeIds().length === 0) await this.#cluster.refreshMetadata()
    const [nodeId] = this.#cluster.getNodeIds()
    // The client's types say number; its keys are text.
    return this.#cluster.findBroker({ nodeId: String(nodeId) })
  }
}
