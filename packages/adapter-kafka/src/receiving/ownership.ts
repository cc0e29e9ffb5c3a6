import type { SubscriptionRequest } from '@waybill/core/driver'
import type { CommittedOffset, GroupCoordinator } from '../client/group-coordinator.ts'
import type { Assignment } from '../client/group-member.ts'
import type { LogRange, TopicLog } from '../client/logs.ts'
import { type Beginning, beginningOf } from '../settling/beginning.ts'
import { includesCommit, type OffsetCommit, PartitionOffsets, parseRecord } from '../settling/offsets.ts'
import { Partition, type PartitionKind } from '../settling/partition.ts'
import type { GroupNames } from '../wire/names.ts'

/** The position of a subscription of this process when it lost its connection. */
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
  /** The state of partitions, read from the broker each time. */
  readonly logsOf: (assignment: Assignment) => Promise<ReadonlyMap<string, TopicLog>>
}

/** Where the group stands in a partition that was assigned to us, and what the broker has of it. */
export interface Standing {
  readonly topic: string
  readonly index: number
  /** What the broker had as committed. */
  readonly commit: OffsetCommit
  readonly beginning: Beginning
  readonly range: LogRange
  readonly topicId: string | undefined
}

/** What `replace` changed. */
export interface Replacement {
  /** No longer ours, or begun anew. */
  readonly lost: readonly Partition[]
  /** What an operator should know. */
  readonly warnings: readonly string[]
}

const unknownRange: LogRange = { start: 0, end: Number.POSITIVE_INFINITY }

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

  /** Asks the broker how the partitions of an assignment were left, and what there is of them. */
  async lookUp(assignment: Assignment, coordinator: GroupCoordinator): Promise<Standing[]> {
    const [committed, logs] = await Promise.all([
      coordinator.committed(assignment),
      this.#options.logsOf(assignment),
    ])
    return [...committed].flatMap(([topic, commits]) => {
      const log = logs.get(topic)
      return commits.map((commit) => standingOf(topic, commit, log))
    })
  }

  /** Takes them over: as we have them, if nobody had them meanwhile and the broker still has what we read. */
  replace(standings: readonly Standing[]): Replacement {
    const before = this.#partitions
    const warnings: string[] = []
    this.#partitions = new Map(
      standings.map((standing) => {
        const { topic, index, beginning, range } = standing
        const kept = this.#keep(standing)
        const warning = beginning.warning ?? this.#madeAgain(standing)
        if (kept === undefined && warning !== undefined) {
          warnings.push(`Partition ${index} of topic ${topic}: ${warning}`)
        }
        if (kept !== undefined && kept.offsets.next < range.start) {
          const gone = `the broker has removed the messages up to ${range.start - 1} before they were read`
          warnings.push(`Partition ${index} of topic ${topic}: ${gone}`)
          kept.offsets.skipTo(range.start)
        }
        return [keyOf(topic, index), kept ?? this.#begin(standing)]
      }),
    )
    const lost = [...before].filter(([key, each]) => this.#partitions.get(key) !== each)
    for (const [, partition] of lost) partition.isLost = true
    return { lost: lost.map(([, partition]) => partition), warnings }
  }

  /** Leaves what could not be committed to the next subscription of this process. */
  carryOver(): void {
    for (const [key, { commits, offsets }] of this.#partitions) {
      this.#options.carried.set(key, { commits, offsets })
    }
  }

  /** The partition as we have it, if nobody else had it since our last commit, and its log is the same. */
  #keep(standing: Standing): Partition | undefined {
    const partition = this.find(standing.topic, standing.index)
    return partition !== undefined && continues(partition, standing) ? partition : undefined
  }

  /** The broker forgets what was committed in a topic that is deleted; we know that we were there. */
  #madeAgain({ topic, index, topicId }: Standing): string | undefined {
    const key = keyOf(topic, index)
    const earlier = this.#partitions.get(key)?.offsets ?? this.#options.carried.get(key)?.offsets
    const isSame = earlier?.topicId === undefined || topicId === undefined || earlier.topicId === topicId
    return isSame ? undefined : 'the topic was deleted and made again; it is read from its beginning'
  }

  #begin(standing: Standing): Partition {
    const { topic, index, commit, beginning, range, topicId } = standing
    const { holder, carried, request } = this.#options
    const key = keyOf(topic, index)
    const carry = carried.get(key)
    carried.delete(key)
    let { offset, record } = beginning
    if (carry !== undefined && continues(carry, standing)) {
      const { offset: carriedOffset, metadata } = carry.offsets.commit('held')
      offset = Number(carriedOffset)
      record = parseRecord(offset, metadata)
    }
    const { end } = range
    const offsets = new PartitionOffsets(offset, record, {
      holder,
      suspects: request.maxPrefetch,
      end,
      topicId,
    })
    return new Partition(topic, index, this.#kindOf(topic), offsets, commit)
  }

  #kindOf(topic: string): PartitionKind {
    const { names } = this.#options
    if (topic === names.retry) return 'retry'
    return topic === names.delay ? 'delay' : 'main'
  }
}

function standingOf(topic: string, committed: CommittedOffset, log: TopicLog | undefined): Standing {
  const { partition: index, offset, metadata } = committed
  const range = log?.ranges.get(index) ?? unknownRange
  const topicId = log?.id
  return {
    topic,
    index,
    commit: { offset: String(offset), metadata: metadata ?? '' },
    beginning: beginningOf(committed, range, topicId),
    range,
    topicId,
  }
}

/** Whether what we have of a partition still holds: the broker has our commit, and the log in which it counts. */
function continues({ commits, offsets }: CarriedCommit, { commit, range, topicId }: Standing): boolean {
  const isSameLog = topicId === undefined || offsets.topicId === undefined || offsets.topicId === topicId
  return isSameLog && offsets.next <= range.end && includesCommit(commits, commit)
}
