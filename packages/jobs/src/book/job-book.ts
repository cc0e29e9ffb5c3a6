import type { MessagingError } from '@waybill/core'
import type { Transaction } from '@waybill/database'
import { hasEnded, type JobError } from '../job.ts'
import type { JobRow, JobRows, JobStore, Lease } from '../store.ts'
import { type AddedJob, addEach, addJobs } from './adding.ts'
import { beginDue, dueJobs, type NamedWanted, type Wanted } from './due-jobs.ts'
import { writeEndings } from './ending.ts'
import { begun, changed, ended, waiting, withAttempt } from './job-change.ts'
import { momentAfter } from './moment.ts'
import type { NewJob } from './new-job.ts'

/** One run of a job, as its worker has it. */
export interface Run {
  readonly id: string
  readonly run: number
}

/** How an attempt ended. */
export type Outcome = Run & {
  /** The job as it was when the run began. */
  readonly taken?: JobRow | undefined
  readonly progress?: string | undefined
  readonly log?: JobRow['details']['log'] | undefined
} & (
    | { readonly kind: 'completed'; readonly output: string | undefined }
    | { readonly kind: 'failed'; readonly error: JobError; readonly retryInMs: number | undefined }
    | { readonly kind: 'released' }
  )

/** What a handler told of its job while it runs. */
export interface Note extends Run {
  readonly progress: string | undefined
  readonly log: JobRow['details']['log']
}

export interface JobUpdate {
  /** JSON. */
  readonly data?: string | undefined
  readonly delayMs?: number | undefined
  readonly priority?: number | undefined
}

const logLength = 100

/** What happens to jobs, over any store: each change is one transaction. */
export class JobBook {
  readonly store: JobStore

  constructor(store: JobStore) {
    this.store = store
  }

  async add(jobs: readonly NewJob[], outer?: Transaction): Promise<readonly AddedJob[]> {
    return await this.store.transaction((rows) => addJobs(rows, jobs), outer)
  }

  /** Adds jobs of several callers, each of which has an answer of its own. */
  async addEach(jobs: readonly NewJob[]): Promise<readonly (AddedJob | MessagingError)[]> {
    return await this.store.transaction((rows) => addEach(rows, jobs))
  }

  /** Jobs for which messages are to be sent now. Unless workers take them, they are sent again after `resendMs`. */
  async claim(wanted: Wanted, resendMs: number, withoutData = false): Promise<readonly JobRow[]> {
    return await this.store.transaction(async (rows) => {
      const due = await dueJobs(rows, wanted, withoutData)
      // Nothing of it can be seen from outside, so it is no new version.
      await rows.update(due.map((row) => ({ ...row, isSent: true, sendAt: momentAfter(rows.now, resendMs) })))
      return due
    })
  }

  /** Begins runs of jobs that nobody was told of. */
  async takeDue(wanted: NamedWanted, lease: Lease): Promise<readonly JobRow[]> {
    // How many may run is counted in a transaction, and has to be true of it as a whole.
    if (wanted.mostRunning === undefined) {
      const begun = await this.#step((rows) => beginDue(rows, wanted, lease))
      if (begun !== undefined) return begun
    }
    return await this.store.transaction(async (rows) => {
      const taken = (await dueJobs(rows, wanted)).map((row) => begun(row, rows.now, lease))
      await rows.update(taken)
      return taken
    })
  }

  /** Messages that could not be sent: they are tried again later. `asNewRun`: one that arrives all the same is out of date. */
  async unclaim(runs: readonly Run[], delayMs: number, asNewRun = false): Promise<void> {
    await this.store.transaction(async (rows) => {
      const found = await rows.lock(runs.map(({ id }) => id))
      const still = found.filter((row) => row.state === 'waiting' && runs.some((run) => isOf(row, run)))
      const back = (row: JobRow) => ({ ...row, isSent: false, sendAt: momentAfter(rows.now, delayMs) })
      await rows.update(still.map((row) => ({ ...back(row), run: asNewRun ? row.run + 1 : row.run })))
    })
  }

  /** Adds the jobs of a flow, the last one to run first, unless that is there: then it resolves with that alone. */
  async addFlow(jobs: readonly NewJob[], outer?: Transaction): Promise<readonly AddedJob[]> {
    return await this.store.transaction(async (rows) => {
      const [first] = jobs
      const [row] = first === undefined ? [] : await rows.lock([first.id])
      return row === undefined ? await addJobs(rows, jobs) : [{ row, isNew: false }]
    }, outer)
  }

  /** Ends jobs that are plain messages, and were sent. */
  async delivered(runs: readonly Run[]): Promise<void> {
    await this.store.transaction(async (rows) => {
      const found = await rows.lock(runs.map(({ id }) => id))
      const still = found.filter((row) => row.state === 'waiting' && runs.some((run) => isOf(row, run)))
      await writeEndings(
        rows,
        still.map((row) => ended(row, rows.now, 'completed')),
      )
    })
  }

  /** Begins runs. Undefined: the run is not to begin, because it has, or is out of date. */
  async take(runs: readonly Run[], owner: string, leaseMs: number): Promise<readonly (JobRow | undefined)[]> {
    return await this.store.transaction(async (rows) => {
      const found = new Map((await rows.lock(runs.map(({ id }) => id))).map((row) => [row.id, row]))
      const taken = new Map<string, JobRow>()
      for (const run of runs) {
        const row = found.get(run.id)
        if (row === undefined || row.state !== 'waiting' || row.run !== run.run) continue
        taken.set(run.id, begun(row, rows.now, { owner, leaseMs }))
      }
      await rows.update([...taken.values()])
      // A second message of the same run is in the same batch at times.
      return runs.map(({ id }) => {
        const row = taken.get(id)
        taken.delete(id)
        return row
      })
    })
  }

  /** Ends attempts. False for a run that is no longer the owner's: its outcome counts for nothing. */
  async finish(
    outcomes: readonly Outcome[],
    owner: string,
    outer?: Transaction,
  ): Promise<readonly boolean[]> {
    const replace = (rows: JobRows) => replaceTaken(rows, outcomes)
    const written = await (outer === undefined ? this.#step(replace) : this.store.transaction(replace, outer))
    const rest = outcomes.filter(({ id }) => !written.has(id))
    if (rest.length === 0) return outcomes.map(() => true)
    return await this.store.transaction(async (rows) => {
      const found = new Map((await rows.lock(rest.map(({ id }) => id))).map((row) => [row.id, row]))
      const changes: JobRow[] = []
      const answers = outcomes.map((outcome) => {
        if (written.has(outcome.id)) return true
        const row = found.get(outcome.id)
        if (row === undefined || row.state !== 'active' || row.owner !== owner || row.run !== outcome.run)
          return false
        changes.push(afterOutcome(noted(row, outcome), outcome, rows.now))
        return true
      })
      await writeEndings(rows, changes)
      return answers
    }, outer)
  }

  async note(notes: readonly Note[], owner: string): Promise<void> {
    await this.store.transaction(async (rows) => {
      const found = await rows.lock(notes.map(({ id }) => id))
      const mine = found.filter((row) => row.state === 'active' && row.owner === owner)
      await rows.update(
        mine.flatMap((row) => {
          const note = notes.find((each) => isOf(row, each))
          return note === undefined ? [] : changed(noted(row, note), rows.now, {})
        }),
      )
      rows.announce()
    })
  }

  /** Takes jobs from workers whose leases have run out. Resolves with how many. */
  async recover(limit: number): Promise<number> {
    return await this.store.transaction(async (rows) => {
      const found = await rows.lock(await rows.leaseEnded(limit))
      const lost = found.filter(
        ({ state, leaseUntil = rows.now }) => state === 'active' && leaseUntil <= rows.now,
      )
      const error = { name: 'WorkerLost', message: 'its worker died or stood still, and its lease ran out' }
      if (lost.length > 0) {
        const after = lost.map((row) => {
          const details = withAttempt(row, rows.now, 'lost', error)
          return row.attempt >= details.attempts
            ? ended(row, rows.now, 'failed', { details })
            : waiting(row, rows.now, 0, { details })
        })
        await writeEndings(rows, after)
      }
      return lost.length
    })
  }

  /** Lets jobs that failed or were cancelled run again, with all their attempts. Resolves with those it did. */
  async retry(ids: readonly string[]): Promise<readonly string[]> {
    return await this.#change(ids, (row, now) => {
      if (row.state !== 'failed' && row.state !== 'cancelled') return undefined
      const details = { ...row.details, error: undefined }
      const state = (details.pending ?? 0) > 0 ? 'waiting-for-children' : 'waiting'
      return waiting(row, now, 0, { state, details, attempt: 0 })
    })
  }

  /** With the children they wait for. Resolves with the ids of those that had not ended. */
  async cancel(ids: readonly string[]): Promise<readonly string[]> {
    return await this.store.transaction(async (rows) => {
      const cancelled: JobRow[] = []
      for (let level = ids; level.length > 0; ) {
        const found = (await rows.lock(level)).filter(({ state }) => !hasEnded(state))
        cancelled.push(
          ...found.map((row) => {
            const details = row.state === 'active' ? withAttempt(row, rows.now, 'cancelled') : row.details
            return ended(row, rows.now, 'cancelled', { details })
          }),
        )
        const parents = found.filter(({ details }) => (details.pending ?? 0) > 0).map(({ id }) => id)
        level = await rows.children(parents)
      }
      if (cancelled.length > 0) await writeEndings(rows, cancelled)
      return cancelled.map(({ id }) => id)
    })
  }

  /** Lets delayed jobs run now. */
  async promote(ids: readonly string[]): Promise<readonly string[]> {
    return await this.#change(ids, (row, now) =>
      row.state === 'waiting' && row.dueAt > now ? waiting(row, now, 0) : undefined,
    )
  }

  /** Changes a job that waits. */
  async update(id: string, { data, delayMs, priority }: JobUpdate): Promise<readonly string[]> {
    return await this.#change([id], (row, now) => {
      if (row.state !== 'waiting' && row.state !== 'waiting-for-children') return undefined
      const change = { data: data ?? row.data, priority: priority ?? row.priority }
      if (row.state === 'waiting-for-children') return changed(row, now, change)
      return waiting(row, now, delayMs ?? Math.max(0, row.dueAt - now), change)
    })
  }

  async #step<Result>(work: (rows: JobRows) => Promise<Result>): Promise<Result> {
    return await (this.store.step?.(work) ?? this.store.transaction(work))
  }

  async #change(
    ids: readonly string[],
    change: (row: JobRow, now: number) => JobRow | undefined,
  ): Promise<readonly string[]> {
    return await this.store.transaction(async (rows) => {
      const found = await rows.lock(ids)
      const changes = found.flatMap((row) => change(row, rows.now) ?? [])
      if (changes.length > 0) await writeEndings(rows, changes)
      return changes.map(({ id }) => id)
    })
  }
}

/** Writes the outcomes of jobs that are as they were when they were taken, and whose end has no consequences for others. */
async function replaceTaken(rows: JobRows, outcomes: readonly Outcome[]): Promise<ReadonlySet<string>> {
  const changes = outcomes.flatMap((outcome) => {
    const { taken } = outcome
    if (taken === undefined || taken.parent !== undefined || taken.details.key !== undefined) return []
    return [{ before: taken, after: afterOutcome(noted(taken, outcome), outcome, rows.now) }]
  })
  if (changes.length === 0 || rows.replace === undefined) return new Set()
  const written = await rows.replace(changes)
  if (written.size > 0) rows.announce()
  return written
}

function isOf(row: JobRow, { id, run }: Run): boolean {
  return row.id === id && row.run === run
}

function noted(row: JobRow, { progress, log = [] }: Pick<Outcome, 'progress' | 'log'>): JobRow {
  const details = { ...row.details, log: [...row.details.log, ...log].slice(-logLength) }
  return { ...row, progress: progress ?? row.progress, details }
}

function afterOutcome(row: JobRow, outcome: Outcome, now: number): JobRow {
  switch (outcome.kind) {
    case 'completed': {
      const details = withAttempt(row, now, 'completed')
      return ended(row, now, 'completed', { output: outcome.output, details })
    }
    case 'failed': {
      const details = withAttempt(row, now, 'failed', outcome.error)
      return outcome.retryInMs === undefined
        ? ended(row, now, 'failed', { details })
        : waiting(row, now, outcome.retryInMs, { details })
    }
    case 'released': {
      const details = withAttempt(row, now, 'released')
      return waiting(row, now, 0, { details, attempt: row.attempt - 1 })
    }
  }
}
