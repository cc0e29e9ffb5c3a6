import type { GroupStats, PartitionStats, TopicSpec } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/connection.ts'
import { type GroupKeys, idAfter, type TopicKeys } from '../wire/messages.ts'
import { asArray, asFigure, asNumber, asRecord, asText, asUtf8 } from '../wire/reply.ts'

interface SourceStats {
  readonly lag: number | undefined
  readonly pending: number
  readonly committed: string
  readonly end: string
}

/** The figures of a group; `native` has the bytes that its topic and it take in the broker's memory. */
export async function groupStats(
  shared: SharedConnection,
  topic: TopicSpec,
  keys: TopicKeys,
  group: GroupKeys,
  name: string,
): Promise<GroupStats> {
  const [sources, delayed, dead, owners, bytes] = await Promise.all([
    Promise.all(group.sources.map((stream) => sourceStats(shared, stream, name))),
    Promise.all([keys.delayed, group.delayed].map((set) => shared.call('ZCARD', set))),
    shared.call('XLEN', group.dead),
    topic.ordered ? shared.call('HGETALL', group.owners) : undefined,
    Promise.all([
      bytesOf(shared, [...keys.streams, keys.delayed]),
      bytesOf(shared, [...group.own, group.delayed, group.dead]),
    ]),
  ])
  return {
    waiting: sum(sources.map(({ lag }) => lag)),
    inFlight: sum(sources.map(({ pending }) => pending)),
    delayed: sum(delayed.map(asNumber)),
    dead: asNumber(dead),
    partitions: lineStats(sources, asRecord(owners)),
    native: { topicBytes: bytes[0], groupBytes: bytes[1] },
  }
}

async function sourceStats(shared: SharedConnection, stream: string, name: string): Promise<SourceStats> {
  const [groups, information] = await Promise.all([
    shared.call('XINFO', 'GROUPS', stream),
    shared.call('XINFO', 'STREAM', stream),
  ])
  const group =
    asArray(groups)
      .map(asRecord)
      .find((each) => asUtf8(each.name) === name) ?? {}
  return {
    // Nil when entries were deleted from the middle, or the group was moved there.
    lag: asFigure(group.lag),
    pending: asFigure(group.pending) ?? 0,
    committed: idAfter(asText(group['last-delivered-id'])),
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

async function bytesOf(shared: SharedConnection, keys: readonly string[]): Promise<number> {
  const sizes = await Promise.all(keys.map((key) => shared.call('MEMORY', 'USAGE', key)))
  return sizes.reduce((total: number, size) => total + (asFigure(size) ?? 0), 0)
}

function sum(figures: readonly (number | undefined)[]): number | undefined {
  let total = 0
  for (const figure of figures) {
    if (figure === undefined) return undefined
    total += figure
  }
  return total
}
