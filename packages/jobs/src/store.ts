import type { TraceContext } from '@waybill/core'
import type { Clock } from '@waybill/core/driver'
import type { Transaction } from '@waybill/database'
import type { JobError, JobState } from './job.ts'
import type { ScheduleRow } from './schedule.ts'

/** A state as it is stored: `delayed` is `waiting` until it is due. */
export type StoredState = Exclude<JobState, 'delayed'>

/** A job in a store. Moments are milliseconds since 1970; data, output and progress are JSON. */
export interface JobRow {
  readonly id: string
  readonly queue: string
  readonly name: string
  readonly state: StoredState
  readonly priority: number
  /** The order of jobs that are due in the same millisecond. */
  readonly ordinal: number
  /** Raised whenever the job is to run anew: a message of an earlier run is out of date. */
  readonly run: number
  /** Raised with every change. */
  readonly version: number
  /** Of those that have begun, which. */
  readonly attempt: number
  /** When the last one began. */
  readonly startedAt: number | undefined
  readonly dueAt: number
  /** When a message is to be sent for it, while it waits. */
  readonly sendAt: number
  /** Whether a message of this run was sent, or is being sent. */
  readonly isSent: boolean
  /** Who runs it. */
  readonly owner: string | undefined
  readonly leaseUntil: number | undefined
  readonly parent: string | undefined
  readonly createdAt: number
  readonly updatedAt: number
  readonly finishedAt: number | undefined
  readonly removeAt: number | undefined
  readonly data: string | undefined
  readonly output: string | undefined
  readonly progress: string | undefined
  readonly details: JobDetails
}

/** What nobody looks jobs up by. */
export interface JobDetails {
  readonly attempts: number
  /** Of the last attempt that has ended. */
  readonly error?: JobError | undefined
  readonly history: readonly {
    readonly attempt: number
    readonly startedAt: number
    readonly endedAt: number
    readonly outcome: 'completed' | 'failed' | 'lost' | 'cancelled' | 'released'
    readonly error?: JobError | undefined
  }[]
  readonly log: readonly { readonly at: number; readonly text: string }[]
  /** Where it was added from, as middleware has given it. */
  readonly trace?: TraceContext | undefined
  /** The key that it holds until it ends. */
  readonly key?: string | undefined
  /** How long it is kept once it has ended. */
  readonly keepMs: { readonly completed: number; readonly failed: number }
  /** How many children have not completed. */
  readonly pending?: number | undefined
  /** What its failure does to its parent. */
  readonly onFailure?: 'fail-parent' | 'ignore' | 'wait' | undefined
  /** The parent no longer waits for it. */
  readonly isCounted?: boolean | undefined
}

/** Who holds a key, for whom a job with the same key is the same. */
export interface JobKey {
  readonly key: string
  readonly job: string
  /** Until then the key is held whatever has become of the job. */
  readonly until: number | undefined
}

export interface JobFilter {
  readonly name?: string | undefined
  readonly queue?: string | undefined
  readonly states?: readonly JobState[] | undefined
  readonly parent?: string | undefined
  /** Jobs changed at this moment or later, in the order of their changes. */
  readonly changedSince?: number | undefined
}

/** Where a page of a list begins: after a job that was created at that moment. */
export interface JobCursor {
  readonly at: number
  readonly id: string
}

export type JobCounts = Readonly<Record<JobState, number>>

/** A job as it was read, and as it is to be: of the next version. */
export interface RowChange {
  readonly before: JobRow
  readonly after: JobRow
}

/** Waiting jobs whose message is to be sent, or that are to be taken. */
export interface ToSend {
  readonly queue: string
  /** Undefined: of any name. */
  readonly names?: readonly string[] | undefined
  /** Whether a message of this run was sent. */
  readonly isSent: boolean
}

/** The same, of some names only. */
export interface NamedToSend extends ToSend {
  readonly names: readonly string[]
}

/** Who is to have a job, and for how long unless that is renewed. */
export interface Lease {
  readonly owner: string
  readonly leaseMs: number
}

/** What can be done to jobs within one transaction. */
export interface JobRows {
  /** The present, by the clock of the store. */
  readonly now: number
  /** Once it has committed, those who watch the store are to look. */
  announce(): void
  /**
   * The jobs of these ids, in any order; nobody else changes them until the transaction ends. `withoutData`: a store may leave out
   * data, output and progress, which nobody is going to look at; `update` leaves them as they are.
   */
  lock(ids: readonly string[], options?: { readonly withoutData?: boolean }): Promise<readonly JobRow[]>
  /** Keeps others away from these keys until the transaction ends. */
  lockKeys(keys: readonly string[]): Promise<void>
  keys(keys: readonly string[]): Promise<readonly JobKey[]>
  putKeys(keys: readonly JobKey[]): Promise<void>
  /** Removes the keys of these jobs, but for those held until later. */
  releaseKeys(jobs: readonly string[]): Promise<void>
  /** Resolves with the ids that were free. */
  insert(rows: readonly JobRow[]): Promise<ReadonlySet<string>>
  /** Of rows that were locked. */
  update(rows: readonly JobRow[]): Promise<void>
  /**
   * Writes rows that nobody has changed since they were read, which their versions tell; resolves with the ids of those. A store that
   * has it saves the locking of rows that are known.
   */
  replace?(changes: readonly RowChange[]): Promise<ReadonlySet<string>>
  /** Up to `limit` ids of jobs that are due, by priority and time; others may be offered the same. */
  toSend(of: ToSend, limit: number): Promise<readonly string[]>
  /**
   * Begins runs of up to `limit` jobs that are due, and resolves with them as they are then. A store that has it finds them and
   * changes them in one step, which may be done whatever becomes of the transaction. Undefined: it cannot this time.
   */
  beginDue?(of: NamedToSend, limit: number, lease: Lease): Promise<readonly JobRow[] | undefined>
  /** How many jobs of a queue run, or are to run once their message arrives; no other transaction counts them until this one ends. */
  running(queue: string): Promise<number>
  /** Up to `limit` ids of active jobs whose lease has run out. */
  leaseEnded(limit: number): Promise<readonly string[]>
  /** The ids of the children of these jobs. */
  children(parents: readonly string[]): Promise<readonly string[]>
  lockSchedules(ids: readonly string[]): Promise<readonly ScheduleRow[]>
  /** Up to `limit` ids of schedules whose next run is due; others may be offered the same. */
  dueSchedules(limit: number): Promise<readonly string[]>
  /** Makes or replaces them. */
  putSchedules(rows: readonly ScheduleRow[]): Promise<void>
  removeSchedules(ids: readonly string[]): Promise<void>
}

/**
 * Keeps jobs. What happens to them is decided by this package, the same over every store; a store reads and writes rows. A
 * transaction is all or nothing, and rows that were locked in it are changed by no other until it ends.
 */
export interface JobStore {
  /** What timers go by. */
  readonly clock: Clock
  /** Whether `onChange` tells of every change, so that nobody has to look without a cause. */
  readonly tellsAll: boolean
  /**
   * Runs `work` in a transaction, again if the store asks for it. `outer` is a transaction of the application's to do it in.
   *
   * @throws {MessagingError} when the store cannot do it.
   */
  transaction<Result>(work: (rows: JobRows) => Promise<Result>, outer?: Transaction): Promise<Result>
  /**
   * As `transaction`, for work that is one step: `beginDue` or `replace`. A store that has it saves what a transaction takes besides.
   * Default: `transaction`.
   */
  step?<Result>(work: (rows: JobRows) => Promise<Result>): Promise<Result>
  find(ids: readonly string[]): Promise<readonly JobRow[]>
  /** By creation, latest first; by change, oldest first, with `changedSince`. */
  list(filter: JobFilter, limit: number, after?: JobCursor): Promise<readonly JobRow[]>
  counts(filter: Pick<JobFilter, 'name' | 'queue'>): Promise<JobCounts>
  /** How many waiting jobs of a queue a message was sent for. */
  sentCount(queue: string): Promise<number>
  /** When the next job of each of these queues is to be sent, or taken; those that have none are left out. */
  nextSendAt(queues: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** By id. */
  schedules(limit: number, after?: string): Promise<readonly ScheduleRow[]>
  /** When the next schedule is due, or the next lease ends; undefined: there is none. */
  nextSweepAt(): Promise<number | undefined>
  /** Renews leases; resolves with the ids that the owner still has. */
  renew(owner: string, ids: readonly string[], leaseMs: number): Promise<ReadonlySet<string>>
  /** Which of these the owner still has. */
  owned(owner: string, ids: readonly string[]): Promise<ReadonlySet<string>>
  /** Removes jobs whose time is over, and keys; resolves with how many jobs. Not the children of a parent that has not ended. */
  removeExpired(limit: number): Promise<number>
  /** Removes what there is of a name in a state beyond the latest `count`, but for such children; resolves with how many. */
  removeBeyond(name: string, state: JobState, count: number, limit: number): Promise<number>
  /** Calls back when something may have changed. The result ends it. */
  onChange(listener: () => void): () => void
}
