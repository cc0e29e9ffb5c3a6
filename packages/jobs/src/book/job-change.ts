import type { JobAttempt, JobError } from '../job.ts'
import type { JobRow, Lease } from '../store.ts'
import { momentAfter } from './moment.ts'

const historyLength = 20

/** A row after a change. */
export function changed(row: JobRow, now: number, change: Partial<JobRow>): JobRow {
  return { ...row, ...change, version: row.version + 1, updatedAt: now }
}

/** Waits for a worker, at once or after a delay. Messages of earlier runs are out of date. */
export function waiting(row: JobRow, now: number, delayMs: number, change: Partial<JobRow> = {}): JobRow {
  const dueAt = momentAfter(now, delayMs)
  return changed(row, now, {
    state: 'waiting',
    run: row.run + 1,
    dueAt,
    sendAt: dueAt,
    isSent: false,
    owner: undefined,
    leaseUntil: undefined,
    finishedAt: undefined,
    removeAt: undefined,
    ...change,
  })
}

/** Runs, and is its worker's until the lease ends. */
export function begun(row: JobRow, now: number, { owner, leaseMs }: Lease): JobRow {
  const { attempt } = row
  return changed(row, now, {
    state: 'active',
    owner,
    leaseUntil: now + leaseMs,
    attempt: attempt + 1,
    startedAt: now,
  })
}

/** Has ended. */
export function ended(
  row: JobRow,
  now: number,
  state: 'completed' | 'failed' | 'cancelled',
  change: Partial<JobRow> = {},
): JobRow {
  const { keepMs } = row.details
  return changed(row, now, {
    state,
    owner: undefined,
    leaseUntil: undefined,
    finishedAt: now,
    removeAt: momentAfter(now, state === 'failed' ? keepMs.failed : keepMs.completed),
    ...change,
  })
}

/** The details after the attempt that is running has ended. */
export function withAttempt(
  row: JobRow,
  now: number,
  outcome: JobAttempt['outcome'],
  error?: JobError,
): JobRow['details'] {
  const { details, attempt, startedAt = now } = row
  const entry = { attempt, startedAt, endedAt: now, outcome, error }
  return { ...details, error, history: [...details.history, entry].slice(-historyLength) }
}
