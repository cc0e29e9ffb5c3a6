import type { Broker, Cluster } from 'kafkajs'
import type { ConsumedRecord } from '../wire/records.ts'
import { listOffsets, type TopicPartition } from './broker-requests.ts'
import { topicIds } from './topic-ids.ts'

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

export interface FetchedRecords {
  readonly records: readonly ConsumedRecord[]
  /** Where to read on. `from` when the broker gave nothing, which does not tell that there is nothing. */
  readonly next: number
  /** Whether the broker throttled the request. */
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

/** Reads the logs of topics without a consumer group. */
export class Logs {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
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

  /** The offset ranges of partitions, by topic, as the broker has them now. */
  async ranges(partitions: Readonly<Record<string, readonly number[]>>): Promise<Map<string, TopicLog>> {
    const names = Object.keys(partitions)
    for (const name of names) await this.#follow(name)
    await this.#cluster.refreshMetadata()
    const ids = await topicIds(await anyBroker(this.#cluster), names)
    const ranges = new Map(names.map((name) => [name, new Map<number, LogRange>()]))
    await Promise.all(
      [...this.#byLeader(partitions)].map(async ([nodeId, led]) => {
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

  /** Reads committed records of a partition. */
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

  #byLeader(partitions: Readonly<Record<string, readonly number[]>>): Map<string, TopicPartition[]> {
    const byLeader = new Map<string, TopicPartition[]>()
    for (const [topic, indexes] of Object.entries(partitions)) {
      const leaders = this.#cluster.findLeaderForPartitions(topic, [...indexes])
      for (const [nodeId, led] of Object.entries(leaders)) {
        const list = byLeader.get(nodeId) ?? []
        for (const partition of led) list.push({ topic, partition })
        byLeader.set(nodeId, list)
      }
    }
    return byLeader
  }

  /** The broker that leads a partition. */
  async #leaderOf(topic: string, partition: number): Promise<Broker> {
    await this.#follow(topic)
    const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]))
    return nodeId === undefined ? anyBroker(this.#cluster) : this.#cluster.findBroker({ nodeId })
  }

  async #follow(topic: string): Promise<void> {
    await this.#cluster.addMultipleTargetTopics([topic])
    await this.#cluster.refreshMetadataIfNecessary()
    if (this.#cluster.findTopicPartitionMetadata(topic).length === 0) await this.#cluster.refreshMetadata()
  }
}

/** A broker for what any of them can answer. */
export async function anyBroker(cluster: Cluster): Promise<Broker> {
  if (cluster.getNodeIds().length === 0) await cluster.refreshMetadata()
  const [nodeId] = cluster.getNodeIds()
  // kafkajs's types say number; its keys are text.
  return cluster.findBroker({ nodeId: String(nodeId) })
}
