import type { TraceContext } from '@waybill/core'
import type { JobDetails, JobRow } from '../store.ts'
import { momentAfter } from './moment.ts'

/** A job that is to be added. */
export interface NewJob {
  readonly id: string
  readonly queue: string
  readonly name: string
  /** JSON. */
  readonly data: string | undefined
  readonly delayMs: number
  readonly priority: number
  readonly attempts: number
  readonly keepMs: JobDetails['keepMs']
  readonly deduplicate?: Deduplication | undefined
  readonly parent?: string | undefined
  readonly onFailure?: JobDetails['onFailure']
  readonly trace?: TraceContext | undefined
  /** How many children it waits for. */
  readonly children?: number | undefined
}

export interface Deduplication {
  readonly key: string
  readonly mode: 'ignore' | 'replace' | 'debounce' | 'throttle'
  readonly windowMs: number
}

let added = 0

export function rowOf(job: NewJob, now: number): JobRow {
  const { deduplicate, children = 0, attempts, keepMs, onFailure, trace } = job
  const dueAt = momentAfter(now, deduplicate?.mode === 'debounce' ? deduplicate.windowMs : job.delayMs)
  added = (added + 1) % 2_000_000_000
  return {
    id: job.id,
    queue: job.queue,
    name: job.name,
    state: children > 0 ? 'waiting-for-children' : 'waiting',
    priority: job.priority,
    ordinal: added,
    run: 1,
    version: 1,
    attempt: 0,
    startedAt: undefined,
    dueAt,
    sendAt: dueAt,
    isSent: false,
    owner: undefined,
    leaseUntil: undefined,
    parent: job.parent,
    createdAt: now,
    updatedAt: now,
    finishedAt: undefined,
    removeAt: undefined,
    data: job.data,
    output: undefined,
    progress: undefined,
    details: {
      attempts,
      history: [],
      log: [],
      trace,
      key: deduplicate?.key,
      keepMs,
      onFailure,
      pending: children > 0 ? children : undefined,
    },
  }
}
