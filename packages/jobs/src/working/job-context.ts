import type { Transaction } from '@waybill/database'
import type { JobState } from '../job.ts'

/** A job as its handler gets it. */
export interface RunningJob<Data = unknown> {
  readonly id: string
  readonly name: string
  readonly data: Data
}

/** A child of the job, when the job runs. */
export interface ChildResult {
  readonly id: string
  readonly name: string
  readonly state: JobState
  /** What its handler returned, as JSON has it; undefined if it failed. */
  readonly output: unknown
  readonly error: { readonly name: string; readonly message: string } | undefined
}

/** What a handler gets beside the job. Its functions can be used without it. */
export interface JobContext<Returned = unknown, Progress = unknown> {
  /**
   * Fires when somebody has cancelled the job, the attempt has taken too long, the worker stops, or another worker has the job: the
   * outcome is then ignored.
   */
  readonly signal: AbortSignal
  /** 1 on the first. */
  readonly attempt: number
  readonly attempts: number
  /**
   * Tells how far it is. It costs next to nothing: of many calls within 100 ms the last is stored.
   *
   * ```ts
   * progress({ page, of: pages.length })
   * ```
   */
  progress(value: Progress): void
  /**
   * Adds a line to the job's log. The latest 100 lines are kept, of 1,000 characters at most.
   *
   * ```ts
   * log(`fetched ${rows.length} rows`)
   * ```
   */
  log(text: string): void
  /** The children that the job has waited for, in the order in which they were added. */
  children(): Promise<readonly ChildResult[]>
  /**
   * Completes the job in a transaction of the store's database: the job is completed if and only if it commits, so what else is
   * written in it happens once, whatever dies. What the handler returns afterwards is ignored.
   *
   * ```ts
   * await database.transaction(async (transaction) => {
   *   await transaction.query('UPDATE accounts SET …')
   *   await completeIn(transaction, { ok: true })
   * })
   * ```
   *
   * @throws {MessagingError} `stale` when the job is no longer this worker's: let the transaction roll back.
   */
  completeIn(transaction: Transaction, output: Returned): Promise<void>
}

export type JobHandler<Data = unknown, Returned = unknown, Progress = unknown> = (
  job: RunningJob<Data>,
  context: JobContext<Returned, Progress>,
) => Returned | PromiseLike<Returned>
