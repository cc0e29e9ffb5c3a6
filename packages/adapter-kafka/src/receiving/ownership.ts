import type { SubscriptionRequest } from '@waybill/core/driver'
import type { GroupCoordinator } from '../connection/gateway.ts'
import {
  includesCommit,
  isOrphan,
  type OffsetCommit,
  PartitionOffsets,
  parseRecord,
} from '../settling/offsets.ts'
import { Partition, type PartitionKind } from '../settling/partition.ts'
import type { GroupNames } from '../wire/names.ts'
import type { Assignment } from './member.ts'

/** Where a subscription of this process stood when its connection was gone. */
export interface CarriedCommit {
  /** What the broker may have had at the time. */
  readonly commits: readonly OffsetCommit[]
  /** What it has of the partition, and goes on settling while copies are under way. */
  readonly offsets: PartitionOffsets
}

export interface OwnershipOptions {
  readonly request: SubscriptionRequest
  readonly names: GroupNames
  /** The same for all of this process. */
  readonly holder: string
  /** By `topic/partition`; shared by all subscriptions of this process to the group. */
  readonly carried: Map<string, CarriedCommit>
  /** By partition: the offset of the earliest message, or the one after the latest. */
  readonly offsetsOf: (topic: string, at: 'earliest' | 'latest') => Promise<Map<number, number>>
}

/** Where the group stands in a partition that was assigned to us. */
export interface Standing {
  readonly topic: string
  readonly index: number
  readonly commit: OffsetCommit
  /** The offset after the latest message, where an owner of the topic's partitions died; nobody needs it otherwise. */
  readonly end?: number
}

function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`
}

/** The partitions that are ours. */
export class Ownership {
  readonly #options: OwnershipOptions
  #partitions = new Map<string, Partition>()

  constructor(options: OwnershipOptions) {
    this.#options = options
  }

  get partitions(): readonly Partition[] {
    return [...this.#partitions.values()]
  }

  find(topic: string, index: number): Partition | undefined {
    return this.#partitions.get(keyOf(topic, index))
  }

  /** Asks the broker how the partitions of an assignment were left. */
  async lookUp(assignment: Assignment, coordinator: GroupCoordinator): Promise<Standing[]> {
    const { request, holder, offsetsOf } = this.#options
    const standings: Standing[] = []
    for (const [topic, committed] of await coordinator.committed(assignment)) {
      const from = topic === request.topic.name ? request.group.from : 'earliest'
      const starts = committed.some(({ offset }) => offset < 0) ? await offsetsOf(topic, from) : undefined
      const isOrphaned = committed.some(({ offset, metadata }) =>
        isOrphan(parseRecord(offset, metadata), holder),
      )
      const ends = isOrphaned ? await offsetsOf(topic, 'latest') : undefined
      for (const { partition: index, offset, metadata } of committed) {
        const start = offset < 0 ? (starts?.get(index) ?? 0) : offset
        const commit = { offset: String(start), metadata: metadata ?? '' }
        const end = ends?.get(index)
        standings.push({ topic, index, commit, ...(end !== undefined && { end }) })
      }
    }
    return standings
  }

  /** Takes them over: as we have them, if nobody had them meanwhile. Returns those that are ours no longer. */
  replace(standings: readonly Standing[]): Partition[] {
    const before = this.#partitions
    this.#partitions = new Map(
      standings.map((standing) => [
        keyOf(standing.topic, standing.index),
        this.#keep(standing) ?? this.#begin(standing),
      ]),
    )
    const lost = [...before].filter(([key, each]) => this.#partitions.get(key) !== each)
    for (const [, partition] of lost) partition.isLost = true
    return lost.map(([, partition]) => partition)
  }

  /** Leaves what could not be committed to the next subscription of this process. */
  carryOver(): void {
    for (const [key, { commits, offsets }] of this.#partitions) {
      this.#options.carried.set(key, { commits, offsets })
    }
  }

  /** The partition as we have it, if nobody else had it since our last commit. */
  #keep({ topic, index, commit }: Standing): Partition | undefined {
    const partition = this.find(topic, index)
    return partition !== undefined && includesCommit(partition.commits, commit) ? partition : undefined
  }

  #begin({ topic, index, commit, end = Number.POSITIVE_INFINITY }: Standing): Partition {
    const { holder, carried, request } = this.#options
    const key = keyOf(topic, index)
    const carry = carried.get(key)
    carried.delete(key)
    const { offset, metadata } =
      carry !== undefined && includesCommit(carry.commits, commit) ? carry.offsets.commit('held') : commit
    const start = Number(offset)
    const record = parseRecord(start, metadata)
    const offsets = new PartitionOffsets(start, record, { holder, suspects: request.maxPrefetch, end })
    return new Partition(topic, index, this.#kindOf(topic), offsets, commit)
  }

  #kindOf(topic: string): PartitionKind {
    const { names } = this.#options
    if (topic === names.retry) return 'retry'
    return topic === names.delay ? 'delay' : 'main'
  }
}
