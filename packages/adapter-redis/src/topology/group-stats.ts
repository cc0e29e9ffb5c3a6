import { type GroupStats, MessagingError, type PartitionStats, type TopicSpec } from '@waybill/core/driver'
import { sumOf } from '@waybill/core/driver-kit'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { idAfter, timeOfId } from '../wire/ids.ts'
import { type GroupKeys, returnedName, type TopicKeys } from '../wire/names.ts'
import { asArray, asFigure, asNumber, asRecord, asText, asUtf8 } from '../wire/reply.ts'

interface SourceStats {
  readonly lag: number | undefined
  readonly pending: number
  /** Of these, given back to the group. */
  readonly returned: number
  /** When the oldest that waits came, by the server's clock; undefined when nothing waits. */
  readonly oldestAt: number | undefined
  readonly committed: string
  readonly end: string
}

/** The figures of a group, `now` by the server's clock; `native` has what its topic and it take of the server's memory. */
export async function groupStats(
  shared: SharedConnection,
  topic: TopicSpec,
  keys: TopicKeys,
  group: GroupKeys,
  name: string,
  now: number,
): Promise<GroupStats> {
  const [sources, delayed, dead, owners, native] = await Promise.all([
    Promise.all(group.sources.map((stream) => sourceStats(shared, stream, name))),
    Promise.all([keys.delayed, group.delayed].map((set) => shared.call('ZCARD', set))),
    shared.call('XLEN', group.dead),
    topic.ordered ? shared.call('HGETALL', group.owners) : undefined,
    nativeStats(shared, keys, group),
  ])
  const oldestAt = Math.min(now, ...sources.flatMap(({ oldestAt }) => oldestAt ?? []))
  return {
    waiting: sumOf(sources.map(({ lag, returned }) => (lag === undefined ? undefined : lag + returned))),
    inFlight: sumOf(sources.map(({ pending, returned }) => pending - returned)),
    delayed: sumOf(delayed.map(asNumber)),
    dead: asNumber(dead),
    oldestWaitingMs: now - oldestAt,
    partitions: lineStats(sources, asRecord(owners)),
    native,
  }
}

async function nativeStats(
  shared: SharedConnection,
  keys: TopicKeys,
  group: GroupKeys,
): Promise<Record<string, unknown>> {
  const [topicBytes, groupBytes, deadLetterBytes, deduplicationBytes, deduplicated, members] =
    await Promise.all([
      bytesOf(shared, [...keys.streams, keys.delayed, keys.delayedEntries, keys.delayedIds]),
      bytesOf(shared, [...group.own, group.delayed, group.delayedEntries, group.dead]),
      bytesOf(shared, [group.dead, group.deadIndex]),
      bytesOf(shared, [keys.sent]),
      shared.call('ZCARD', keys.sent),
      shared.call('ZCARD', group.members),
    ])
  return {
    ...{ topicBytes, groupBytes, deadLetterBytes, deduplicationBytes },
    ...{ deduplicated: asNumber(deduplicated), members: asNumber(members) },
  }
}

async function sourceStats(shared: SharedConnection, stream: string, name: string): Promise<SourceStats> {
  const [groups, information, returned] = await Promise.all([
    shared.call('XINFO', 'GROUPS', stream),
    shared.call('XINFO', 'STREAM', stream),
    shared.call('XPENDING', stream, name),
  ])
  const group =
    asArray(groups)
      .map(asRecord)
      .find((each) => asUtf8(each.name) === name) ?? {}
  const holders = asArray(asArray(returned)[3]).map(asArray)
  const returnedCount = asNumber(holders.find(([holder]) => asText(holder) === returnedName)?.[1] ?? 0)
  const lastDelivered = asText(group['last-delivered-id'])
  const [unread, givenBack] = await Promise.all([
    lastDelivered === '' ? [] : shared.call('XRANGE', stream, `(${lastDelivered}`, '+', 'COUNT', 1),
    returnedCount === 0 ? [] : shared.call('XPENDING', stream, name, '-', '+', 1, returnedName),
  ])
  const oldest = [unread, givenBack].flatMap((entries) => {
    const [first] = asArray(entries)
    return first === undefined ? [] : timeOfId(asText(asArray(first)[0]))
  })
  return {
    // Nil when entries were deleted from the middle, or the group was moved there.
    lag: asFigure(group.lag),
    pending: asFigure(group.pending) ?? 0,
    returned: returnedCount,
    oldestAt: oldest.length === 0 ? undefined : Math.min(...oldest),
    committed: idAfter(lastDelivered),
    end: idAfter(asText(asRecord(information)['last-generated-id'])),
  }
}

/** Of an unordered topic, 0 is its stream of high priority and 1 the other. Offsets are ids of entries, the next one each. */
function lineStats(
  sources: readonly SourceStats[],
  owners: Readonly<Record<string, unknown>>,
): readonly PartitionStats[] {
  const partitions: PartitionStats[] = []
  for (let partition = 0; 2 * partition + 1 < sources.length; partition += 1) {
    const own = sources[2 * partition]
    const shared = sources[2 * partition + 1]
    if (own === undefined || shared === undefined) continue
    // A number, a blank, and the member's name.
    const owner = asText(owners[partition]).split(' ')[1]
    const lag = (shared.lag ?? 0) + shared.pending + (own.lag ?? 0) + own.pending
    partitions.push({
      partition,
      committed: shared.committed,
      end: shared.end,
      lag,
      ...(owner !== undefined && { owner }),
    })
  }
  return partitions
}

/** Undefined where our user may not ask, or the service has no MEMORY. */
async function bytesOf(shared: SharedConnection, keys: readonly string[]): Promise<number | undefined> {
  try {
    const sizes = await Promise.all(keys.map((key) => shared.call('MEMORY', 'USAGE', key)))
    return sizes.reduce((total: number, size) => total + (asFigure(size) ?? 0), 0)
  } catch (error) {
    if (MessagingError.is(error) && !error.retryable) return undefined
    throw error
  }
}
