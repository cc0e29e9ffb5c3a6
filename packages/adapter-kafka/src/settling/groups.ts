import {
  type GroupStats,
  MessagingError,
  type PartitionStats,
  type SeekPosition,
  type TopicSpec,
} from '@waybill/core/driver'
import { brokerErrorOf } from '../client/faults.ts'
import type { Gateway } from '../client/gateway.ts'
import type { PartitionCommit } from '../client/group-coordinator.ts'
import { toDriverError } from '../errors.ts'
import { dueAtOf } from '../wire/messages.ts'
import { groupNames } from '../wire/names.ts'
import { parseRecord } from './offsets.ts'

/** Where a group stands in a topic. */
interface TopicProgress {
  /** Not settled, whether in hand or not. */
  readonly unsettled: number
  readonly partitions: readonly PartitionStats[]
  /** By partition, where there is something unsettled: the first offset of it. */
  readonly firstUnsettled: ReadonlyMap<number, number>
}

/** Of so many partitions at most the first unsettled record is read, which comes in a batch of up to a megabyte or so. */
const mostRead = 32

/** What the broker tells of a group. What is in hand only its members know, so it counts as waiting. */
export async function groupStats(
  gateway: Gateway,
  topic: TopicSpec,
  group: string,
  now: number,
): Promise<Omit<GroupStats, 'dead'>> {
  const { main: name, groupId, retry, delay } = groupNames(topic, group)
  const owners = await ownersOf(gateway, groupId)
  const [main, retries, delayed] = await Promise.all(
    [name, retry, delay].map((each) => progressOf(gateway, groupId, each, owners)),
  )
  return {
    waiting: main?.unsettled,
    inFlight: undefined,
    oldestWaitingMs: await oldestWaiting(gateway, name, main?.firstUnsettled ?? new Map(), now),
    delayed: (retries?.unsettled ?? 0) + (delayed?.unsettled ?? 0),
    partitions: main?.partitions ?? [],
  }
}

/**
 * By the timestamps of the records, which are their producers' clocks'; a delayed record counts from when it is due. Undefined
 * where our user may not read the topic.
 */
async function oldestWaiting(
  gateway: Gateway,
  topic: string,
  firstUnsettled: TopicProgress['firstUnsettled'],
  now: number,
): Promise<number | undefined> {
  if (firstUnsettled.size > mostRead) return undefined
  const readySince = async ([partition, offset]: readonly [number, number]): Promise<number> => {
    const { records } = await gateway.logs.read(topic, partition, offset, { maxBytes: 1, maxWaitMs: 100 })
    const [first] = records
    return first === undefined ? now : Math.max(Number(first.timestamp), dueAtOf(first))
  }
  try {
    return now - Math.min(now, ...(await Promise.all([...firstUnsettled].map(readySince))))
  } catch (thrown) {
    if (toDriverError(thrown, `Reading topic ${topic}`).code === 'access-denied') return undefined
    throw thrown
  }
}

/** Member by `topic/partition`. */
async function ownersOf(gateway: Gateway, groupId: string): Promise<Map<string, string>> {
  const owners = new Map<string, string>()
  for (const { clientId, assignment } of await gateway.members(groupId)) {
    for (const [topic, partitions] of Object.entries(assignment)) {
      for (const partition of partitions) owners.set(`${topic}/${partition}`, clientId)
    }
  }
  return owners
}

async function progressOf(
  gateway: Gateway,
  groupId: string,
  topic: string,
  owners: ReadonlyMap<string, string>,
): Promise<TopicProgress> {
  const [ends, starts] = [
    await gateway.logs.offsets(topic, 'latest'),
    await gateway.logs.offsets(topic, 'earliest'),
  ]
  const coordinator = await gateway.coordinatorOf(groupId)
  const committed = await coordinator.committed({ [topic]: [...ends.keys()] })
  let unsettled = 0
  const firstUnsettled = new Map<number, number>()
  const partitions = (committed.get(topic) ?? []).map(({ partition, offset, metadata }): PartitionStats => {
    const end = ends.get(partition) ?? 0
    const lag = Math.max(0, end - Math.max(offset, starts.get(partition) ?? 0))
    const settled = parseRecord(offset, metadata).settled.reduce((sum, { from, to }) => sum + to - from, 0)
    unsettled += Math.max(0, lag - settled)
    if (lag > settled) firstUnsettled.set(partition, Math.max(offset, starts.get(partition) ?? 0))
    const owner = owners.get(`${topic}/${partition}`)
    return {
      partition,
      committed: offset < 0 ? undefined : String(offset),
      end: String(end),
      lag,
      ...(owner !== undefined && { owner }),
    }
  })
  partitions.sort((a, b) => a.partition - b.partition)
  return { unsettled, partitions, firstUnsettled }
}

/** Moves a group in its topic. Kafka takes that only from a group without members. */
export async function seekGroup(
  gateway: Gateway,
  topic: TopicSpec,
  group: string,
  position: SeekPosition,
): Promise<void> {
  const { groupId, main } = groupNames(topic, group)
  const partitions = await positions(gateway, main, position)
  const coordinator = await gateway.coordinatorOf(groupId)
  try {
    await coordinator.commit([{ topic: main, partitions }])
  } catch (error) {
    if (brokerErrorOf(error) !== 'UNKNOWN_MEMBER_ID') throw error
    throw new MessagingError(
      'rejected',
      `Group ${group} of topic ${topic.name} has consumers; stop them all before it is moved`,
      { cause: error, retryable: true },
    )
  }
}

async function positions(
  gateway: Gateway,
  topic: string,
  position: SeekPosition,
): Promise<readonly PartitionCommit[]> {
  if (position.to === 'offset') {
    const { partition, offset } = position
    if (!/^\d+$/.test(offset)) {
      throw new MessagingError('invalid-options', `"${offset}" is no Kafka offset: expected a whole number`)
    }
    return [{ partition, offset, metadata: '' }]
  }
  const ends = await gateway.logs.offsets(topic, 'latest')
  const wanted =
    position.to === 'latest'
      ? ends
      : await gateway.logs.offsets(topic, position.to === 'time' ? position.time : 'earliest')
  // Nothing so late: -1.
  return [...ends].map(([partition, end]) => {
    const offset = wanted.get(partition) ?? -1
    return { partition, offset: String(offset < 0 ? end : offset), metadata: '' }
  })
}
