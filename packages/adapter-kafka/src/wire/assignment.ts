import { z } from 'zod'

export interface GroupMember {
  readonly id: string
  /** The partitions it owned before, by index. */
  readonly owned: readonly number[]
}

/**
 * Divides partitions among a group's members. Partitions of one index go together, whatever their topic: on an ordered
 * topic a key lies in the same partition of the topic and of the group's retry topic, and must not be with two members at
 * once. Members keep what they own as far as that is fair, because whatever moves is redelivered if it is in hand.
 */
export function assignPartitions(
  members: readonly GroupMember[],
  partitionCounts: Readonly<Record<string, number>>,
  /** Indexes below it are shared out evenly among themselves: they carry most of the load. */
  mainCount: number,
  /** Topics whose partitions are shared out by themselves, because no keys bind them to the others. */
  apart: readonly string[] = [],
): Map<string, Record<string, number[]>> {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1))
  const topics = Object.entries(partitionCounts)
  const together = topics.filter(([topic]) => !apart.includes(topic))
  const total = Math.max(0, ...together.map(([, count]) => count))
  const indexes = new Map<string, number[]>(sorted.map(({ id }) => [id, []]))
  share(sorted, indexes, range(0, Math.min(mainCount, total)))
  share(sorted, indexes, range(mainCount, total))
  return new Map(
    [...indexes].map(([id, mine], place) => [
      id,
      Object.fromEntries(
        topics.map(([topic, count]) => [
          topic,
          apart.includes(topic)
            ? range(0, count).filter((index) => index % sorted.length === place)
            : mine.filter((index) => index < count).sort((a, b) => a - b),
        ]),
      ),
    ]),
  )
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index)
}

function share(
  members: readonly GroupMember[],
  indexes: Map<string, number[]>,
  wanted: readonly number[],
): void {
  const free = new Set(wanted)
  const quota = Math.floor(wanted.length / members.length)
  let extras = wanted.length % members.length
  const taken = new Map<string, number>()
  for (const { id, owned } of members) {
    let mine = 0
    for (const index of owned) {
      if (!free.has(index) || mine > quota || (mine === quota && extras === 0)) continue
      if (mine === quota) extras -= 1
      free.delete(index)
      indexes.get(id)?.push(index)
      mine += 1
    }
    taken.set(id, mine)
  }
  for (const index of free) {
    const [poorest] = [...taken].sort(
      ([a, few], [b, many]) =>
        few - many || (indexes.get(a)?.length ?? 0) - (indexes.get(b)?.length ?? 0) || (a < b ? -1 : 1),
    )
    if (poorest === undefined) return
    indexes.get(poorest[0])?.push(index)
    taken.set(poorest[0], poorest[1] + 1)
  }
}

const userDataSchema = z.object({ owned: z.array(z.int().min(0)) })

/** What a member tells the group's leader about itself when it joins. */
export function encodeOwned(owned: readonly number[]): Buffer {
  return Buffer.from(JSON.stringify({ owned }))
}

export function decodeOwned(userData: Buffer | null): readonly number[] {
  if (userData === null || userData.length === 0) return []
  try {
    return userDataSchema.parse(JSON.parse(userData.toString('utf8'))).owned
  } catch {
    return []
  }
}
