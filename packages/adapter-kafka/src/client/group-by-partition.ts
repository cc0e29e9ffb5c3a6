import type { ICustomPartitioner, Message } from 'kafkajs'

type Partitioner = ReturnType<ICustomPartitioner>

interface Grouping extends Pick<Parameters<Partitioner>[0], 'topic' | 'partitionMetadata'> {
  readonly messages: readonly Message[]
  readonly partitioner: Partitioner
}

/** In place of kafkajs's own, which copies a partition's messages anew for each that is added. */
export function groupByPartition({
  topic,
  partitionMetadata,
  messages,
  partitioner,
}: Grouping): Readonly<Record<number, readonly Message[]>> {
  const groups: Record<number, Message[]> = {}
  if (partitionMetadata.length === 0) return groups
  for (const message of messages) {
    const partition = partitioner({ topic, partitionMetadata, message })
    const group = groups[partition]
    if (group === undefined) groups[partition] = [message]
    else group.push(message)
  }
  return groups
}
