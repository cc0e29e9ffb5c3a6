import {
  type GroupSpec,
  MessagingError,
  type TopicSpec,
  type Topology,
  type TopologyReport,
} from '@waybill/core/driver'
import { definedOtherwise } from '@waybill/core/driver-kit'
import { brokerErrorOf, brokerErrorsOf } from '../client/faults.ts'
import type { Gateway } from '../client/gateway.ts'
import type { TopicCommits } from '../client/group-coordinator.ts'
import { type KafkaSettings, parseTopicOptions } from '../options.ts'
import { bookTopic, type GroupNames, groupNames, mainTopic } from '../wire/names.ts'
import { batchBytes } from '../wire/record-limits.ts'

/** A Kafka topic that is to exist. */
interface WantedTopic {
  readonly name: string
  readonly partitions: number
  /** It may have more partitions than asked for. */
  readonly atLeast?: boolean
  /** It has as many partitions as this one, if that has more than asked for. */
  readonly follows?: string
  readonly replicationFactor: number | undefined
  readonly config: Readonly<Record<string, string>>
}

interface WantedGroup {
  readonly names: GroupNames
  readonly from: GroupSpec['from']
}

/** What the broker tells as committed where nothing is (Kafka protocol guide, "OffsetFetch API"). */
const none = -1

// How long a new topic may take to be known and led.
const creationTimeoutMs = 10_000
const creationPollMs = 25

export interface ApplyOptions {
  readonly settings: KafkaSettings
  readonly mode: 'create' | 'verify'
  /** Topics that this connection found as they are defined before: since then, they may have grown. */
  readonly approved: Set<string>
  readonly warn: (message: string) => void
  /** No further step is taken once it fires. */
  readonly signal?: AbortSignal | undefined
}

/** Creates or verifies what a topology needs: topics, and a committed offset for each group in each partition. */
export async function applyTopology(
  gateway: Gateway,
  { topics }: Topology,
  { settings, mode, approved, warn, signal }: ApplyOptions,
): Promise<TopologyReport> {
  const wanted = topics.flatMap(({ topic, groups }) => wantedTopics(topic, groups, settings))
  const groups = topics.flatMap(({ topic, groups: specs }) =>
    specs.map(({ name, from }): WantedGroup => ({ names: groupNames(topic, name), from })),
  )
  const counts = await countPartitions(gateway, wanted)
  const absent = wanted.filter(({ name }) => !counts.has(name))
  const named = absent.map(({ name }) => `topic ${name}`)
  if (mode === 'create' && absent.length > 0) {
    ensureWanted(signal)
    await createTopics(gateway, absent)
    await waitForTopics(gateway, absent)
    // Others may have created them, with other settings.
    for (const [name, count] of await countPartitions(gateway, absent)) counts.set(name, count)
  }
  for (const topic of wanted) {
    ensureWanted(signal)
    named.push(...(await settleCount(gateway, topic, counts, { mode, approved, warn })))
  }
  ensureWanted(signal)
  const isNew = new Set(absent.map(({ name }) => name))
  const fresh = await Promise.all(
    groups
      .filter(({ names }) => [names.main, names.retry, names.delay].every((name) => counts.has(name)))
      .map((group) => ensureGroup(gateway, group, counts, isNew, mode)),
  )
  named.push(...fresh.filter((name) => name !== undefined))
  return mode === 'create' ? { created: named, missing: [] } : { created: [], missing: named }
}

/** Between two steps. */
export function ensureWanted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw new MessagingError('aborted', 'Provisioning was aborted', { cause: signal.reason })
}

function wantedTopics(
  topic: TopicSpec,
  groups: readonly GroupSpec[],
  settings: KafkaSettings,
): WantedTopic[] {
  const own = parseTopicOptions(topic)
  const main = mainTopic(topic)
  const replicationFactor = own.replicationFactor ?? settings.replicationFactor
  // The broker's limit is for batches, and counts what comes on top of the messages.
  const config = {
    ...settings.topicConfig,
    'max.message.bytes': String(batchBytes(settings.maxMessageBytes)),
  }
  const waiting = { ...config, 'retention.ms': waitingRetentionMs }
  const { partitions } = topic
  return [
    { name: main, partitions, replicationFactor, config: { ...config, ...own.config } },
    {
      name: bookTopic(topic),
      partitions: 1,
      replicationFactor,
      config: { ...config, 'cleanup.policy': 'compact' },
    },
    ...groups.flatMap(({ name }): WantedTopic[] => {
      const { retry, delay, dead } = groupNames(topic, name)
      const tiers = settings.delayTiers.length
      return [
        {
          name: retry,
          // A key's retries must be where its member is; without order a few partitions share them out well enough.
          partitions: topic.ordered ? partitions : Math.min(partitions, settings.retryPartitions),
          ...(topic.ordered ? { follows: main } : { atLeast: true }),
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
  try {
    await gateway.createTopics(topics, creationTimeoutMs)
  } catch (error) {
    if (!isOnlyExisting(error)) throw error
  }
}

/** Others may be creating the same at the same time. */
function isOnlyExisting(error: unknown): boolean {
  return brokerErrorsOf(error).every((each) => each === 'TOPIC_ALREADY_EXISTS')
}

async function waitForTopics(gateway: Gateway, topics: readonly Pick<WantedTopic, 'name'>[]): Promise<void> {
  const names = topics.map(({ name }) => name)
  let waitedMs = 0
  for (let pauseMs = creationPollMs; !(await gateway.areServed(names)); pauseMs *= 1.5) {
    if (waitedMs > creationTimeoutMs) throw noLeader()
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    waitedMs += pauseMs
  }
}

function noLeader(): MessagingError {
  return new MessagingError('timeout', `New topics have no leader after ${creationTimeoutMs} ms`, {
    retryable: true,
  })
}

/** Adds missing partitions to a topic; resolves with what was, or in `verify` mode is, missing. */
async function settleCount(
  gateway: Gateway,
  { name, partitions: defined, atLeast, follows }: WantedTopic,
  counts: Map<string, number>,
  { mode, approved, warn }: Pick<ApplyOptions, 'mode' | 'approved' | 'warn'>,
): Promise<readonly string[]> {
  const existing = counts.get(name)
  if (existing === undefined) return []
  const partitions = follows === undefined ? defined : Math.max(defined, counts.get(follows) ?? 0)
  if (existing < partitions) {
    if (mode === 'verify') return [`partitions ${existing} to ${partitions - 1} of topic ${name}`]
    await growTo(gateway, name, partitions)
    counts.set(name, partitions)
    return [`partitions ${existing} to ${partitions - 1} of topic ${name}`]
  }
  if (existing > partitions && atLeast !== true && follows === undefined) {
    const text = `Topic ${name} has ${existing} partitions at the broker and ${partitions} in its definition`
    if (!approved.has(name)) {
      throw definedOtherwise({
        what: `Topic ${name}`,
        ours: `a topic of ${partitions} partitions`,
        theirs: `one of ${existing} partitions`,
        next: `set \`partitions\` to ${existing} in the definition, because they cannot be made fewer`,
      })
    }
    warn(`${text}: all of them are used, but set partitions to ${existing} in the definition`)
  }
  approved.add(name)
  return []
}

async function growTo(gateway: Gateway, name: string, partitions: number): Promise<void> {
  try {
    await gateway.addPartitions(name, partitions)
  } catch (error) {
    // Somebody else was first.
    if (((await gateway.partitionCount(name)) ?? 0) < partitions) throw error
  }
  let waitedMs = 0
  for (
    let pauseMs = creationPollMs;
    ((await gateway.partitionCount(name)) ?? 0) < partitions;
    pauseMs *= 1.5
  ) {
    if (waitedMs > creationTimeoutMs) throw noLeader()
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    waitedMs += pauseMs
  }
  await waitForTopics(gateway, [{ name }])
}

/** Gives a group's retry topic as many partitions as its topic has, so that keys are where their members are. */
export async function followPartitions(gateway: Gateway, { main, retry }: GroupNames): Promise<void> {
  const [wanted = 0, existing = 0] = [await gateway.partitionCount(main), await gateway.partitionCount(retry)]
  if (existing > 0 && existing < wanted) await growTo(gateway, retry, wanted)
}

/**
 * Gives a new group its place in every partition, so that what is sent from now on is kept for it. Resolves with the
 * group's name if it was, or in `verify` mode is, not there.
 */
async function ensureGroup(
  gateway: Gateway,
  { names, from }: WantedGroup,
  counts: ReadonlyMap<string, number>,
  isNew: ReadonlySet<string>,
  mode: 'create' | 'verify',
): Promise<string | undefined> {
  const coordinator = await gateway.coordinatorOf(names.groupId)
  const wanted: Record<string, readonly number[]> = {}
  for (const name of [names.main, names.retry, names.delay]) {
    wanted[name] = Array.from({ length: counts.get(name) ?? 0 }, (_, index) => index)
  }
  const committed = async () => {
    const found = await coordinator.committed(wanted)
    return [...found].flatMap(([name, partitions]) =>
      partitions.map(({ partition, offset }) => ({ topic: name, partition, offset })),
    )
  }
  const uncommitted = async () => (await committed()).filter(({ offset }) => offset < 0)
  const before = await committed()
  if (before.every(({ offset }) => offset >= 0)) return undefined
  // A group with any committed offset is not new. Where it has none, partitions were added or its commits expired.
  const isKnown = before.some(({ offset }) => offset !== none)
  const label = `group ${names.groupId}`
  if (mode === 'verify') return label
  const startOf = async (name: string): Promise<Map<number, number>> => {
    if (isNew.has(name)) return new Map()
    return gateway.logs.offsets(name, name === names.main && !isKnown ? from : 'earliest')
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
