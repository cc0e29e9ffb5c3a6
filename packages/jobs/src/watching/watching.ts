import { sleep } from '@waybill/core/driver'
import { Change } from '@waybill/core/driver-kit'
import { answeredBatches } from '../batching/answered-batches.ts'
import { hasEnded, type JobSnapshot, type JobState } from '../job.ts'
import { snapshotOf } from '../snapshot.ts'
import type { JobRow, JobStore } from '../store.ts'

/** What has become of a job. Changes that come quickly are one event, with the job as it is then. */
export interface JobEvent<Output = unknown, Progress = unknown> {
  /** The state that it has now, if that has changed; `progress` if that has; else `updated`. */
  readonly kind: JobState | 'progress' | 'updated'
  readonly job: JobSnapshot<Output, Progress>
}

// What a change that was told of brings along is looked at together.
const restMs = 20
const pageSize = 1000
const mostIds = 1000

// How far back changes are looked for: what a poll leaves out, as long as polls are short.
const mostPollMs = 1000

// A transaction that writes a job may commit after others that began later.
const overlapMs = 5000

/** Follows jobs of a store, whichever process changes them: by its notifications where it has them, and by looking. */
export class Watching {
  readonly #store: JobStore
  readonly #pollMs: number
  readonly #over = new AbortController()
  readonly #changed = new Change()
  readonly #find: (id: string) => Promise<JobRow | undefined>
  #changes = 0
  #watchers = 0
  #forget: (() => void) | undefined

  constructor(store: JobStore, pollMs: number) {
    this.#store = store
    this.#pollMs = pollMs
    this.#find = answeredBatches(
      async (ids: readonly string[]) => {
        const rows = new Map((await store.find([...new Set(ids)])).map((row) => [row.id, row]))
        return ids.map((id) => rows.get(id))
      },
      { maxItems: mostIds },
    )
  }

  /** The job, now and after each change, until it has ended or is gone. */
  async *one(id: string, signal?: AbortSignal): AsyncGenerator<JobEvent> {
    let last: JobSnapshot | undefined
    for await (const _ of this.#moments(signal)) {
      const row = await this.#find(id)
      if (row === undefined) return
      const job = snapshotOf(row, this.#store.clock.now())
      const isNews = last === undefined || job.version !== last.version || job.state !== last.state
      if (isNews) yield { kind: last === undefined ? job.state : kindOf(last, job), job }
      if (hasEnded(job.state)) return
      last = job
    }
  }

  /** The jobs of a name that change from now on. */
  async *all(name: string, signal?: AbortSignal): AsyncGenerator<JobEvent> {
    const seen = new Map<string, JobSnapshot>()
    await this.#store.counts({ name })
    const beganAt = this.#store.clock.now()
    for (const row of await this.#store.list({ name, changedSince: beganAt - overlapMs }, pageSize))
      seen.set(row.id, snapshotOf(row, beganAt))
    for await (const _ of this.#moments(signal)) {
      const now = this.#store.clock.now()
      for await (const row of this.#changedSince(
        name,
        now - overlapMs - 2 * Math.min(this.#pollMs, mostPollMs),
      )) {
        const job = snapshotOf(row, now)
        const last = seen.get(job.id)
        seen.set(job.id, job)
        if (last === undefined && row.updatedAt < beganAt) continue
        if (last?.version !== job.version)
          yield { kind: last === undefined ? job.state : kindOf(last, job), job }
      }
      const oldest = now - 2 * overlapMs - 4 * Math.min(this.#pollMs, mostPollMs)
      for (const [id, job] of seen) if (job.updatedAt.getTime() < oldest) seen.delete(id)
    }
  }

  close(): void {
    this.#over.abort()
    this.#forget?.()
  }

  async *#changedSince(name: string, since: number): AsyncGenerator<JobRow> {
    let from = since
    for (let limit = pageSize; ; ) {
      const rows = await this.#store.list({ name, changedSince: from }, limit)
      yield* rows
      const last = rows.at(-1)
      if (last === undefined || rows.length < limit) return
      // More of one millisecond than a page holds.
      if (last.updatedAt === from) limit *= 2
      from = last.updatedAt
    }
  }

  /** At once, and whenever something may have changed. */
  async *#moments(signal?: AbortSignal): AsyncGenerator<void> {
    const over = signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal])
    const { clock } = this.#store
    this.#enter()
    try {
      while (!over.aborted) {
        const seen = this.#changes
        yield
        if (this.#changes === seen) {
          const waiting = new AbortController()
          const either = AbortSignal.any([waiting.signal, over])
          await Promise.race([sleep(clock, this.#pollMs, either), this.#changed.next(either)])
          waiting.abort()
        }
        await sleep(clock, restMs, over)
      }
    } finally {
      this.#leave()
    }
  }

  #enter(): void {
    this.#watchers += 1
    this.#forget ??= this.#store.onChange(() => {
      this.#changes += 1
      this.#changed.notify()
    })
  }

  #leave(): void {
    this.#watchers -= 1
    if (this.#watchers > 0) return
    this.#forget?.()
    this.#forget = undefined
  }
}

function kindOf(last: JobSnapshot, job: JobSnapshot): JobEvent['kind'] {
  if (last.state !== job.state || last.attempt !== job.attempt) return job.state
  return JSON.stringify(last.progress) === JSON.stringify(job.progress) ? 'updated' : 'progress'
}
