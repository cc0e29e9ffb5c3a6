import { type Clock, type MessagingError, toError } from '@waybill/core/driver'
import { brokerErrorOf } from '../client/faults.ts'
import type { Membership, PartitionCommit, TopicCommits } from '../client/group-coordinator.ts'
import { toDriverError } from '../errors.ts'
import type { OffsetCommit } from './offsets.ts'
import type { Partition } from './partition.ts'

export interface CommitterOptions {
  readonly clock: Clock
  readonly intervalMs: number
  readonly send: (topics: readonly TopicCommits[], membership: Membership) => Promise<void>
  /** What is committed matters to what may be handed out next. */
  readonly onCommitted: () => void
  /** Called for the first of a series of commits that the broker refuses, unless it is because of a rebalance. */
  readonly onRefused: (error: MessagingError) => void
}

interface Snapshot {
  readonly partition: Partition
  readonly commit: OffsetCommit
}

/** Error codes for a member whose generation has ended; it is about to rejoin. */
const generationOver: readonly (string | undefined)[] = [
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
]

export function isGenerationOver(error: unknown): boolean {
  return generationOver.includes(brokerErrorOf(error))
}

function byTopic(snapshots: readonly Snapshot[]): TopicCommits[] {
  const topics = new Map<string, PartitionCommit[]>()
  for (const { partition, commit } of snapshots) {
    const list = topics.get(partition.topic) ?? []
    list.push({ partition: partition.index, ...commit })
    topics.set(partition.topic, list)
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}

/**
 * Commits in the background, one request for all that changed, never more often than the interval: the broker holds each
 * commit back for 5 ms to collect more (Kafka documentation, "Broker Configs", `group.coordinator.append.linger.ms`).
 * Each commit bears the membership for which the partitions were opened, so that one that is late is refused.
 */
export class Committer {
  readonly #options: CommitterOptions
  #partitions: Iterable<Partition> = []
  #membership: Membership | undefined
  #running: Promise<void> | undefined
  #cancel: (() => void) | undefined
  #lastAt = 0
  #refused = 0
  #refusal: MessagingError | undefined

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /** How many commits the broker has refused, and why it refuses them at the moment. */
  get refusals(): { readonly count: number; readonly current: MessagingError | undefined } {
    return { count: this.#refused, current: this.#refusal }
  }

  /** From now on commits are for these partitions. */
  open(partitions: Iterable<Partition>, membership: Membership): void {
    this.#partitions = partitions
    this.#membership = membership
    this.wake()
  }

  /** Stops committing in the background; resolves when no commit is in flight. */
  async pause(): Promise<void> {
    this.#membership = undefined
    this.#cancel?.()
    this.#cancel = undefined
    await this.#running
  }

  /** Something may have changed. `now`: somebody waits for it. */
  wake(now = false): void {
    if (this.#membership === undefined || this.#running !== undefined) return
    if (this.#cancel !== undefined) {
      if (!now) return
      this.#cancel()
    }
    const { clock, intervalMs } = this.#options
    const delay = now ? 0 : Math.max(0, this.#lastAt + intervalMs - clock.now())
    this.#cancel = clock.after(
      Math.min(delay, intervalMs),
      () => {
        this.#cancel = undefined
        this.#run()
      },
      { background: true },
    )
  }

  /** Commits these partitions as they are, and says so to their next owner. */
  async commit(
    partitions: Iterable<Partition>,
    membership: Membership,
    state: 'held' | 'given up',
  ): Promise<void> {
    const snapshots = [...partitions].map((partition) => ({
      partition,
      commit: partition.offsets.commit(state),
    }))
    if (snapshots.length === 0) return
    try {
      await this.#options.send(byTopic(snapshots), membership)
    } catch (error) {
      for (const { partition, commit } of snapshots) partition.doubt(commit)
      this.#report(error)
      throw error
    } finally {
      this.#lastAt = this.#options.clock.now()
    }
    this.#refusal = undefined
    for (const { partition, commit } of snapshots) partition.confirm(commit)
  }

  /** Resolves once what is settled now is committed, or cannot be for the time being. */
  async flush(): Promise<void> {
    // One that is under way may have begun before.
    await this.#running
    if (this.#running === undefined) {
      this.#cancel?.()
      this.#cancel = undefined
      this.#run()
    }
    await this.#running
  }

  #run(): void {
    const membership = this.#membership
    if (membership === undefined) return
    const dirty = [...this.#partitions].filter(({ offsets }) => offsets.dirty)
    if (dirty.length === 0) return
    this.#running = this.commit(dirty, membership, 'held')
      // It stays to be done. If the group moves on, the next assignment begins with a commit; if the connection is
      // gone for good, the consumer ends.
      .catch(() => {})
      .then(() => {
        this.#running = undefined
        this.#options.onCommitted()
        if ([...this.#partitions].some(({ offsets }) => offsets.dirty)) this.wake()
      })
  }

  #report(thrown: unknown): void {
    if (isGenerationOver(thrown)) return
    this.#refused += 1
    const isNew = this.#refusal === undefined
    this.#refusal = toDriverError(toError(thrown), 'Committing offsets failed')
    if (isNew) this.#options.onRefused(this.#refusal)
  }
}
