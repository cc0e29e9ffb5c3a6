import type { Clock } from '@waybill/core/driver'
import type { PartitionCommit, TopicCommits } from '../connection/gateway.ts'
import type { OffsetCommit } from './offsets.ts'
import type { Partition } from './partition.ts'

export interface CommitterOptions {
  readonly clock: Clock
  readonly intervalMs: number
  readonly send: (topics: readonly TopicCommits[]) => Promise<void>
  /** What is committed matters to what may be handed out next. */
  readonly onCommitted: () => void
}

interface Snapshot {
  readonly partition: Partition
  readonly commit: OffsetCommit
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
 */
export class Committer {
  readonly #options: CommitterOptions
  #partitions: Iterable<Partition> = []
  #running: Promise<void> | undefined
  #cancel: (() => void) | undefined
  #lastAt = 0
  #isOpen = false

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /** From now on commits are for these partitions. */
  open(partitions: Iterable<Partition>): void {
    this.#partitions = partitions
    this.#isOpen = true
    this.wake()
  }

  /** No more in the background; resolves when none is under way. */
  async pause(): Promise<void> {
    this.#isOpen = false
    this.#cancel?.()
    this.#cancel = undefined
    await this.#running
  }

  /** Something may have changed. `now`: somebody waits for it. */
  wake(now = false): void {
    if (!this.#isOpen || this.#running !== undefined) return
    if (this.#cancel !== undefined) {
      if (!now) return
      this.#cancel()
    }
    const { clock, intervalMs } = this.#options
    const delay = now ? 0 : Math.max(0, this.#lastAt + intervalMs - clock.now())
    this.#cancel = clock.after(
      delay,
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
    state: 'held' | 'given up',
    send = this.#options.send,
  ): Promise<void> {
    const snapshots = [...partitions].map((partition) => ({
      partition,
      commit: partition.offsets.commit(state),
    }))
    if (snapshots.length === 0) return
    try {
      await send(byTopic(snapshots))
    } catch (error) {
      for (const { partition, commit } of snapshots) partition.doubt(commit)
      throw error
    } finally {
      this.#lastAt = this.#options.clock.now()
    }
    for (const { partition, commit } of snapshots) partition.confirm(commit)
  }

  /** Resolves once what is settled now is committed, or cannot be for the time being. */
  async flush(): Promise<void> {
    // One that is under way may have begun before.
    await this.#running
    if (!this.#isOpen) return
    if (this.#running === undefined) {
      this.#cancel?.()
      this.#cancel = undefined
      this.#run()
    }
    await this.#running
  }

  #run(): void {
    const dirty = [...this.#partitions].filter(({ offsets }) => offsets.dirty)
    if (dirty.length === 0) return
    this.#running = this.commit(dirty, 'held')
      // It stays to be done. If the group moves on, the next assignment begins with a commit; if the connection is
      // gone for good, the consumer ends.
      .catch(() => {})
      .then(() => {
        this.#running = undefined
        this.#options.onCommitted()
        if ([...this.#partitions].some(({ offsets }) => offsets.dirty)) this.wake()
      })
  }
}
