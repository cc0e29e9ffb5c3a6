/**
 * | state | meaning |
 * | --- | --- |
 * | `waiting` | it is to run as soon as a worker has room |
 * | `delayed` | its time has not come: it was added with a delay, or failed and waits for its next attempt |
 * | `waiting-for-children` | it runs when all its children have completed |
 * | `active` | a worker runs it |
 * | `completed` | it has a result |
 * | `failed` | no attempt is left |
 * | `cancelled` | somebody cancelled it; nothing runs it any more |
 */
export type JobState =
  | 'waiting'
  | 'delayed'
  | 'waiting-for-children'
  | 'active'
  | 'completed'
  | 'failed'
  | 'cancelled'

export const jobStates = [
  'waiting',
  'delayed',
  'waiting-for-children',
  'active',
  'completed',
  'failed',
  'cancelled',
] as const satisfies readonly JobState[]

/** An error as it is kept. */
export interface JobError {
  readonly name: string
  readonly message: string
}

/** One attempt of a job that has ended. */
export interface JobAttempt {
  /** 1 is the first since the job was added, or retried by hand. */
  readonly attempt: number
  readonly startedAt: Date
  readonly endedAt: Date
  /** `lost`: its worker died or stood still, and its lease ran out. `released`: its worker stopped; it does not count. */
  readonly outcome: 'completed' | 'failed' | 'lost' | 'cancelled' | 'released'
  readonly error?: JobError
}

/** A line that a handler has logged. */
export interface JobLogLine {
  readonly at: Date
  readonly text: string
}

/** A job as it was when it was read. */
export interface JobSnapshot<Output = unknown, Progress = unknown> {
  readonly id: string
  /** Of its definition. */
  readonly name: string
  readonly queue: string
  readonly state: JobState
  /** As it was given to `add`. */
  readonly data: unknown
  /** What the handler returned; undefined before. */
  readonly output: Output | undefined
  /** The last that was told. */
  readonly progress: Progress | undefined
  readonly priority: number
  /** How many attempts have begun since it was added, or retried by hand. */
  readonly attempt: number
  /** How many it gets. */
  readonly attempts: number
  /** Why it failed, at last. */
  readonly error: JobError | undefined
  /** The latest 20. */
  readonly history: readonly JobAttempt[]
  /** The latest 100 lines. */
  readonly log: readonly JobLogLine[]
  /** When it is to run, or was. */
  readonly dueAt: Date
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly finishedAt: Date | undefined
  /** The job that waits for this one. */
  readonly parent: string | undefined
  /** Rises with every change. */
  readonly version: number
}

/** Has ended, for good unless somebody retries it. */
export function hasEnded(state: JobState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}

/** The counts of a store without jobs. */
export function noJobs(): Record<JobState, number> {
  return {
    waiting: 0,
    delayed: 0,
    'waiting-for-children': 0,
    active: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
  }
}
