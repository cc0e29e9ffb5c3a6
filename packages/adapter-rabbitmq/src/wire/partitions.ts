import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Of a key, for ever the same and in every language: CRC-32 (that of zlib) of its UTF-8, modulo. */
export function partitionOf(key: string, partitions: number): number {
  return crc32(key) % partitions
}

/**
 * Consumer priorities that spread the partitions over the members of a group without anybody to ask: each member ranks
 * the partitions in an order of its own, and of a partition's consumers RabbitMQ activates the one that ranks it highest.
 * It takes over only once the former one has settled all it had in hand (RabbitMQ documentation, "Consumers", "Single
 * Active Consumer").
 */
export function partitionPriorities(member: string, partitions: number): number[] {
  const ranked = Array.from({ length: partitions }, (_, partition) => ({
    partition,
    weight: hash('sha1', `${member}/${partition}`),
  })).sort((left, right) => (left.weight < right.weight ? -1 : 1))
  const priorities = new Array<number>(partitions).fill(0)
  ranked.forEach(({ partition }, rank) => {
    priorities[partition] = partitions - rank
  })
  return priorities
}

/**
 * A priority below that of every member that has not left the partition to others. Whoever left last comes last, so that a
 * partition goes from member to member until one keeps it. Seconds fit a priority, a signed number of 32 bits, until 2093.
 */
export function behindAllOthers(): number {
  return -Math.max(1, Math.floor(Date.now() / 1000) - earliestSeconds)
}

const earliestSeconds = Date.UTC(2025, 0) / 1000
