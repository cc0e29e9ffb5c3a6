import { MessagingError } from '@waybill/core'
import { hasEnded } from '../job.ts'
import type { JobKey, JobRow, JobRows } from '../store.ts'
import { waiting } from './job-change.ts'
import { momentAfter } from './moment.ts'
import { type Deduplication, type NewJob, rowOf } from './new-job.ts'

export interface AddedJob {
  readonly row: JobRow
  /** False: there was one of this id or key, which it is. */
  readonly isNew: boolean
}

/**
 * Adds jobs in their order. One whose id or key is taken is the job that has it.
 *
 * @throws {MessagingError} `rejected` when an id belongs to a job of another name.
 */
export async function addJobs(rows: JobRows, jobs: readonly NewJob[]): Promise<readonly AddedJob[]> {
  return (await addEach(rows, jobs)).map((added) => {
    if (MessagingError.is(added)) throw added
    return added
  })
}

/** The same for jobs of several callers: what is wrong with one is an answer of its own. */
export async function addEach(
  rows: JobRows,
  jobs: readonly NewJob[],
): Promise<readonly (AddedJob | MessagingError)[]> {
  const names = [...new Set(jobs.flatMap(({ deduplicate }) => deduplicate?.key ?? []))]
  await rows.lockKeys(names)
  const held = await rows.keys(names)
  const holders = new Map(held.map((each) => [each.key, each]))
  // Of others the insert tells which are there: a job without a key, which most are, is added in one step.
  const keyed = jobs.filter(({ deduplicate }) => deduplicate !== undefined).map(({ id }) => id)
  const found = await rows.lock([...new Set([...held.map(({ job }) => job), ...keyed])])
  const known = new Map(found.map((row) => [row.id, row]))
  const fresh = new Map<string, JobRow>()
  const replaced = new Map<string, JobRow>()
  const newKeys = new Map<string, JobKey>()
  const answers = jobs.map((job): { readonly id: string; readonly isNew: boolean } => {
    const { deduplicate } = job
    if (known.has(job.id)) return { id: job.id, isNew: false }
    const holder = deduplicate && holders.get(deduplicate.key)
    const holding = holder && known.get(holder.job)
    const same = deduplicate && holding && sameJob(deduplicate, job, holder, holding, rows.now)
    if (same !== undefined) {
      if (same !== holding) {
        known.set(same.id, same)
        if (fresh.has(same.id)) fresh.set(same.id, same)
        else replaced.set(same.id, same)
      }
      return { id: same.id, isNew: false }
    }
    const row = rowOf(job, rows.now)
    known.set(row.id, row)
    fresh.set(row.id, row)
    if (deduplicate !== undefined) {
      const until = deduplicate.mode === 'throttle' ? momentAfter(rows.now, deduplicate.windowMs) : undefined
      const key = { key: deduplicate.key, job: row.id, until }
      holders.set(key.key, key)
      newKeys.set(key.key, key)
    }
    return { id: row.id, isNew: true }
  })
  const inserted = await rows.insert([...fresh.values()])
  await rows.update([...replaced.values()])
  const others = await rows.lock([...fresh.keys()].filter((id) => !inserted.has(id)))
  for (const row of others) known.set(row.id, row)
  await rows.putKeys([...newKeys.values()].filter(({ job }) => inserted.has(job)))
  rows.announce()
  return answers.map(({ id, isNew }, index) => {
    const row = known.get(id)
    if (row === undefined) return new MessagingError('failed', `The job ${id} is gone`, { retryable: true })
    const name = jobs[index]?.name
    if (row.name !== name) {
      const what = `There is a job ${id} already, a ${row.name}, so no ${name} was added`
      return new MessagingError('rejected', `${what}: ids are of all jobs of a store; put the name into them`)
    }
    return { row, isNew: isNew && inserted.has(id) }
  })
}

/** The job that the new one is the same as, with what it takes over; undefined: it is one of its own. */
function sameJob(
  { mode, windowMs }: Deduplication,
  job: NewJob,
  holder: JobKey,
  holding: JobRow,
  now: number,
): JobRow | undefined {
  const isLive = !hasEnded(holding.state)
  switch (mode) {
    case 'ignore':
      return isLive ? holding : undefined
    case 'throttle':
      return isLive || (holder.until ?? 0) > now ? holding : undefined
    case 'replace':
    case 'debounce': {
      if (holding.state === 'waiting-for-children') return holding
      if (holding.state !== 'waiting') return undefined
      const delayMs = mode === 'debounce' ? windowMs : job.delayMs
      const { attempts, trace } = job
      return waiting(holding, now, delayMs, {
        data: job.data,
        priority: job.priority,
        attempt: 0,
        details: { ...holding.details, attempts, trace },
      })
    }
  }
}
