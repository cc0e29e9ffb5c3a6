import { MessagingError } from '@waybill/core'
import { addEach } from '../book/adding.ts'
import type { NewJob } from '../book/new-job.ts'
import type { ScheduleDetails, ScheduleRow } from '../schedule.ts'
import type { JobStore } from '../store.ts'
import { dueRuns } from './due-runs.ts'
import { runAfter } from './schedule-spec.ts'

const batchSize = 100

/**
 * What happens to schedules, over any store. A run's job is added in the transaction that moves the schedule on, under an id made of
 * the schedule's and the run's time: of schedulers that see the same run one makes it, and a crash leaves both or neither.
 */
export class ScheduleBook {
  readonly #store: JobStore
  readonly #failed: (what: string, error: unknown) => void

  constructor(store: JobStore, failed: (what: string, error: unknown) => void) {
    this.#store = store
    this.#failed = failed
  }

  /** Makes or changes one. What stays the same keeps its next run. */
  async put(id: string, wanted: Pick<ScheduleDetails, 'times' | 'job'>): Promise<ScheduleRow> {
    return await this.#store.transaction(async (rows) => {
      await rows.lockKeys([`schedule ${id}`])
      const [known] = await rows.lockSchedules([id])
      const { now } = rows
      const row = known === undefined ? made(id, wanted, now) : changed(known, wanted, now)
      await rows.putSchedules([row])
      rows.announce()
      return row
    })
  }

  /** Undefined: there is none. */
  async pause(id: string, isPaused: boolean): Promise<ScheduleRow | undefined> {
    return await this.#store.transaction(async (rows) => {
      const [known] = await rows.lockSchedules([id])
      if (known === undefined || known.details.isPaused === isPaused) return known
      const { times, anchor, lastAt } = known.details
      const since = times.missed === 'skip' ? rows.now : (lastAt ?? anchor)
      const nextAt = isPaused ? undefined : runAfter(times, since, anchor)
      const row = { ...known, nextAt, details: { ...known.details, isPaused } }
      await rows.putSchedules([row])
      rows.announce()
      return row
    })
  }

  async remove(id: string): Promise<boolean> {
    return await this.#store.transaction(async (rows) => {
      const [known] = await rows.lockSchedules([id])
      if (known !== undefined) await rows.removeSchedules([id])
      return known !== undefined
    })
  }

  /** Adds the jobs of all runs that are due; resolves with whether there may be more. */
  async run(): Promise<boolean> {
    const { hasMore, refused } = await this.#store.transaction(async (rows) => {
      const due = await rows.lockSchedules(await rows.dueSchedules(batchSize))
      const moved: ScheduleRow[] = []
      const jobs: NewJob[] = []
      for (const row of due) {
        const { nextAt, details } = row
        if (nextAt === undefined || nextAt > rows.now) continue
        const { runs, next } = dueRuns(details.times, nextAt, details.anchor, rows.now)
        jobs.push(...runs.map((run) => jobOf(row, run)))
        moved.push({ ...row, nextAt: next, details: { ...details, lastAt: runs.at(-1) ?? details.lastAt } })
      }
      await rows.putSchedules(moved)
      const added = jobs.length > 0 ? await addEach(rows, jobs) : []
      // One whose id another job has will never be added: the others must not wait for it.
      const refused = added.filter((each) => MessagingError.is(each))
      for (const error of refused) if (error.retryable) throw error
      const hasMore =
        due.length === batchSize || moved.some(({ nextAt = Number.POSITIVE_INFINITY }) => nextAt <= rows.now)
      return { hasMore, refused }
    })
    for (const error of refused) this.#failed('running a schedule', error)
    return hasMore
  }
}

function made(id: string, { times, job }: Pick<ScheduleDetails, 'times' | 'job'>, now: number): ScheduleRow {
  const nextAt = times.at ?? runAfter(times, now, now)
  return { id, nextAt, details: { times, job, anchor: now, isPaused: false } }
}

function changed(
  known: ScheduleRow,
  { times, job }: Pick<ScheduleDetails, 'times' | 'job'>,
  now: number,
): ScheduleRow {
  const { details } = known
  const isSame = JSON.stringify(details.times) === JSON.stringify(times)
  if (isSame) return { ...known, details: { ...details, job } }
  const fresh = made(known.id, { times, job }, now)
  const { isPaused } = details
  return { ...fresh, nextAt: isPaused ? undefined : fresh.nextAt, details: { ...fresh.details, isPaused } }
}

function jobOf({ id, details: { job } }: ScheduleRow, run: number): NewJob {
  return { ...job, id: `schedule:${id}:${new Date(run).toISOString()}`, delayMs: 0 }
}
