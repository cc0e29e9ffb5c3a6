import {
  type GroupSpec,
  MessagingError,
  parseOptions,
  type TopicSpec,
  type Topology,
  type TopologyReport,
} from '@waybill/core/driver'
import type { ITopicConfig } from 'kafkajs'
import type { Gateway, TopicCommits } from '../connection/gateway.ts'
import { brokerErrorOf } from '../errors.ts'
import { type Settings, type TopicSettings, topicOptionsSchema } from '../options.ts'
import { type GroupNames, groupNames } from '../wire/names.ts'
import { batchBytes } from '../wire/record-limits.ts'

/** A Kafka topic that is to exist. */
interface WantedTopic {
  readonly name: string
  readonly partitions: number
  /** It may have more partitions than asked for. */
  readonly atLeast?: boolean
  readonly replicationFactor: number | undefined
  readonly config: Readonly<Record<string, string>>
}

interface WantedGroup {
  readonly names: GroupNames
  readonly topic: string
  readonly from: GroupSpec['from']
}

// How long a new topic may take to be known and led.
const creationTimeoutMs = 10_000
const creationPollMs = 25

export function topicSettings(topic: TopicSpec): TopicSettings {
  return parseOptions(topicOptionsSchema, topic.native.kafka ?? {}, `topic "${topic.name}"`, 'native.kafka')
}

/** Makes or checks what a topology needs: topics, and a committed offset for each group in each partition. */
export async function applyTopology(
  gateway: Gateway,
  settings: Settings,
  { topics }: Topology,
  mode: 'create' | 'verify',
): Promise<TopologyReport> {
  const wanted = topics.flatMap(({ topic, groups }) => wantedTopics(topic, groups, settings))
  const groups = topics.flatMap(({ topic, groups: specs }) =>
    specs.map(({ name, from }): WantedGroup => ({ names: groupNames(topic, name), topic: topic.name, from })),
  )
  const counts = await countPartitions(gateway, wanted)
  const absent = wanted.filter(({ name }) => !counts.has(name))
  const missing = absent.map(({ name }) => `topic ${name}`)
  if (mode === 'create' && absent.length > 0) {
    await createTopics(gateway, absent)
    await waitForTopics(gateway, absent)
    // Others may have made them, and otherwise.
    for (const [name, count] of await countPartitions(gateway, absent)) counts.set(name, count)
  }
  for (const topic of wanted) ensureSame(topic, counts.get(topic.name))
  const isNew = new Set(absent.map(({ name }) => name))
  const fresh = await Promise.all(
    groups
      .filter(({ topic, names }) => [topic, names.retry, names.delay].every((name) => counts.has(name)))
      .map((group) => ensureGroup(gateway, group, counts, isNew, mode)),
  )
  const named = [...missing, ...fresh.filter((name) => name !== undefined)]
  return mode === 'create' ? { created: named, missing: [] } : { created: [], missing: named }
}

function wantedTopics(topic: TopicSpec, groups: readonly GroupSpec[], settings: Settings): WantedTopic[] {
  const own = topicSettings(topic)
  const replicationFactor = own.replicationFactor ?? settings.replicationFactor
  // The broker's limit is for batches, and counts what comes on top of the messages.
  const config = {
    ...settings.topicConfig,
    'max.message.bytes': String(batchBytes(settings.maxMessageBytes)),
  }
  const waiting = { ...config, 'retention.ms': waitingRetentionMs }
  const { partitions } = topic
  return [
    { name: topic.name, partitions, replicationFactor, config: { ...config, ...own.config } },
    ...groups.flatMap(({ name }): WantedTopic[] => {
      const { retry, delay, dead } = groupNames(topic, name)
      const tiers = settings.delayTiers.length
      return [
        {
          name: retry,
          // A key's retries must be where its member is; without order a few partitions share them out well enough.
          partitions: topic.ordered ? partitions : Math.min(partitions, settings.retryPartitions),
          ...(!topic.ordered && { atLeast: true }),
          replicationFactor,
          config: waiting,
        },
        { name: delay, partitions: tiers, atLeast: true, replicationFactor, config: waiting },
        { name: dead, partitions: 1, replicationFactor, config: { ...config, 'cleanup.policy': 'compact' } },
      ]
    }),
  ]
}

/** Thirty days: by then a retry or delayed message has been read, or nobody reads it. */
const waitingRetentionMs = String(30 * 24 * 60 * 60 * 1000)

async function countPartitions(
  gateway: Gateway,
  topics: readonly WantedTopic[],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  await Promise.all(
    topics.map(async ({ name }) => {
      const count = await gateway.partitionCount(name)
      if (count !== undefined) counts.set(name, count)
    }),
  )
  return counts
}

async function createTopics(gateway: Gateway, topics: readonly WantedTopic[]): Promise<void> {
  const configs = topics.map(
    ({ name, partitions, replicationFactor, config }): ITopicConfig => ({
      topic: name,
      numPartitions: partitions,
      configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
      ...(replicationFactor !== undefined && { replicationFactor }),
    }),
  )
  try {
    // kafkajs gives up on a topic that brokers do not know yet, so the waiting is ours.
    await gateway.admin.createTopics({ topics: configs, waitForLeaders: false, timeout: creationTimeoutMs })
  } catch (error) {
    if (!isOnlyExisting(error)) throw error
  }
}

/** Others may be creating the same at the same time. */
function isOnlyExisting(error: unknown): boolean {
  const errors: readonly unknown[] =
    error instanceof Error && 'errors' in error && Array.isArray(error.errors) ? error.errors : [error]
  return errors.every((each) => brokerErrorOf(each) === 'TOPIC_ALREADY_EXISTS')
}

async function waitForTopics(gateway: Gateway, topics: readonly WantedTopic[]): Promise<void> {
  const names = topics.map(({ name }) => name)
  let waitedMs = 0
  for (let pauseMs = creationPollMs; !(await gateway.areServed(names)); pauseMs *= 1.5) {
    if (waitedMs > creationTimeoutMs) {
      throw new MessagingError('timeout', `New topics have no leader after ${creationTimeoutMs} ms`, {
        retryable: true,
      })
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    waitedMs += pauseMs
  }
}

function ensureSame({ name, partitions, atLeast }: WantedTopic, existing: number | undefined): void {
  if (existing === undefined || existing === partitions || (atLeast && existing > partitions)) return
  const remedy = atLeast
    ? 'lower `delayTiers` or `retryPartitions` to what it has'
    : 'define the topic with as many partitions as it has'
  throw new MessagingError(
    'topology-mismatch',
    `Topic ${name} has ${existing} partitions at the broker, but ${partitions} are asked for; ${remedy}`,
  )
}

/**
 * Gives a new group its place in every partition, so that what is sent from now on is kept for it. Resolves with the
 * group's name if it was, or in `verify` mode is, not there.
 */
async function ensureGroup(
  gateway: Gateway,
  { names, topic, from }: WantedGroup,
  counts: ReadonlyMap<string, number>,
  isNew: ReadonlySet<string>,
  mode: 'create' | 'verify',
): Promise<string | undefined> {
  const coordinator = await gateway.coordinatorOf(names.groupId)
  const wanted: Record<string, readonly number[]> = {}
  for (const name of [topic, names.retry, names.delay]) {
    wanted[name] = Array.from({ length: counts.get(name) ?? 0 }, (_, index) => index)
  }
  const uncommitted = async () => {
    const found = await coordinator.committed(wanted)
    return [...found].flatMap(([name, partitions]) =>
      partitions.filter(({ offset }) => offset < 0).map(({ partition }) => ({ topic: name, partition })),
    )
  }
  if ((await uncommitted()).length === 0) return undefined
  const label = `group ${names.groupId}`
  if (mode === 'verify') return label
  const startOf = async (name: string): Promise<Map<number, number>> => {
    if (isNew.has(name)) return new Map()
    return gateway.offsets(name, name === topic ? from : 'earliest')
  }
  const starts = new Map(
    await Promise.all(Object.keys(wanted).map(async (name) => [name, await startOf(name)] as const)),
  )
  // Looked at after the offsets: another process that does the same may have sent something since, which its commit
  // keeps for the group, and which ours must not skip.
  const commits = new Map<string, TopicCommits['partitions'][number][]>()
  for (const { topic: name, partition } of await uncommitted()) {
    const list = commits.get(name) ?? []
    list.push({ partition, offset: String(starts.get(name)?.get(partition) ?? 0), metadata: '' })
    commits.set(name, list)
  }
  if (commits.size === 0) return undefined
  try {
    await coordinator.commit([...commits].map(([name, partitions]) => ({ topic: name, partitions })))
  } catch (error) {
    // It has members by now, which take the same place for themselves.
    if (brokerErrorOf(error) !== 'UNKNOWN_MEMBER_ID') throw error
  }
  return label
}
