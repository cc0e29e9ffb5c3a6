import type { Broker } from 'kafkajs'

/** Requests that a broker of kafkajs can send, and does not list among its methods. */
interface Unlisted {
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>
  listOffsets(request: {
    readonly isolationLevel: number
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number; readonly timestamp: string }[]
    }[]
  }): Promise<ListedOffsets>
}

interface ListedOffsets {
  readonly responses: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
  }[]
}

function hasUnlisted(broker: Broker): broker is Broker & Unlisted {
  return (
    'leaveGroup' in broker &&
    typeof broker.leaveGroup === 'function' &&
    'listOffsets' in broker &&
    typeof broker.listOffsets === 'function'
  )
}

function withUnlisted(broker: Broker): Unlisted {
  if (!hasUnlisted(broker)) throw new Error('This version of kafkajs cannot list offsets or leave groups')
  return broker
}

/**
 * Takes a member out of its group on its behalf. A member whose connection is gone cannot leave, and its successor would
 * wait until its session has run out.
 */
export async function leaveGroup(broker: Broker, groupId: string, memberId: string): Promise<void> {
  await withUnlisted(broker).leaveGroup({ groupId, memberId })
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** Kafka protocol guide, "ListOffsets API", `timestamp`. */
const timestamps = { earliest: '-2', latest: '-1' } as const

/** Everything up to the high watermark, as against what transactions have committed (the same, `isolation_level`). */
const readUncommitted = 0

/** Asks a broker for the first or the next offset of partitions that it leads. */
export async function listOffsets(
  broker: Broker,
  partitions: readonly TopicPartition[],
  at: keyof typeof timestamps,
): Promise<readonly (TopicPartition & { readonly offset: number })[]> {
  const names = [...new Set(partitions.map(({ topic }) => topic))]
  const { responses } = await withUnlisted(broker).listOffsets({
    isolationLevel: readUncommitted,
    topics: names.map((name) => ({
      topic: name,
      partitions: partitions
        .filter(({ topic }) => topic === name)
        .map(({ partition }) => ({ partition, timestamp: timestamps[at] })),
    })),
  })
  return responses.flatMap(({ topic, partitions: listed }) =>
    listed.map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) })),
  )
}
