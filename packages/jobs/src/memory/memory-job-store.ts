import { type Clock, MessagingError, parseOptions, systemClock } from '@waybill/core/driver'
import { z } from 'zod'
import { hasEnded, type JobState, noJobs } from '../job.ts'
import type { ScheduleRow } from '../schedule.ts'
import type { JobCursor, JobFilter, JobKey, JobRow, JobRows, JobStore } from '../store.ts'

const optionsSchema = z.strictObject({
  clock: z
    .custom<Clock>(
      (value) => typeof value === 'object' && value !== null && 'now' in value,
      'expected a clock',
    )
    .default(systemClock),
})

/**
 * A store in the memory of this process, for tests and trials. Its jobs end with the process.
 *
 * ```ts
 * const kit = await createTestBus()
 * const jobs = openJobs({ bus: kit.bus, store: memoryJobStore({ clock: kit.clock }) })
 * ```
 *
 * @throws {ConfigurationError} when `clock` is not a clock.
 */
export function memoryJobStore(options: { readonly clock?: Clock } = {}): JobStore {
  return new MemoryJobStore(parseOptions(optionsSchema, options, 'options of the job store').clock)
}

class MemoryJobStore implements JobStore {
  readonly clock: Clock
  readonly tellsAll = true
  readonly #jobs = new Map<string, JobRow>()
  readonly #keys = new Map<string, JobKey>()
  readonly #schedules = new Map<string, ScheduleRow>()
  readonly #listeners = new Set<() => void>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock) {
    this.clock = clock
  }

  async transaction<Result>(work: (rows: JobRows) => Promise<Result>, outer?: unknown): Promise<Result> {
    if (outer !== undefined) {
      const what = 'A job store in memory takes no part in a transaction'
      throw new MessagingError('unsupported', `${what}: use databaseJobStore(database)`)
    }
    return await this.#serially(() => this.#run(work))
  }

  async find(ids: readonly string[]): Promise<readonly JobRow[]> {
    return ids.flatMap((id) => this.#jobs.get(id) ?? [])
  }

  async list(filter: JobFilter, limit: number, after?: JobCursor): Promise<readonly JobRow[]> {
    const { changedSince } = filter
    const found = [...this.#jobs.values()].filter((row) => this.#fits(row, filter))
    if (changedSince !== undefined) found.sort((one, other) => one.updatedAt - other.updatedAt)
    else found.sort((one, other) => other.createdAt - one.createdAt || (one.id < other.id ? 1 : -1))
    return found.filter((row) => after === undefined || isBefore(row, after)).slice(0, limit)
  }

  async counts(filter: Pick<JobFilter, 'name' | 'queue'>) {
    const counts = noJobs()
    for (const row of this.#jobs.values()) if (this.#fits(row, filter)) counts[this.#stateOf(row)] += 1
    return counts
  }

  async sentCount(queue: string): Promise<number> {
    return this.#waiting(queue).filter(({ isSent }) => isSent).length
  }

  async nextSendAt(queues: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const next = new Map<string, number>()
    for (const queue of queues) {
      const moment = earliest(this.#waiting(queue).map(({ sendAt }) => sendAt))
      if (moment !== undefined) next.set(queue, moment)
    }
    return next
  }

  async schedules(limit: number, after = ''): Promise<readonly ScheduleRow[]> {
    const rows = [...this.#schedules.values()].filter(({ id }) => id > after)
    return rows.sort((one, other) => (one.id < other.id ? -1 : 1)).slice(0, limit)
  }

  async nextSweepAt(): Promise<number | undefined> {
    const runs = [...this.#schedules.values()].map(({ nextAt }) => nextAt)
    const leases = [...this.#jobs.values()].map(({ leaseUntil }) => leaseUntil)
    return earliest([...runs, ...leases])
  }

  async renew(owner: string, ids: readonly string[], leaseMs: number): Promise<ReadonlySet<string>> {
    return await this.#serially(async () => {
      const held = await this.owned(owner, ids)
      const leaseUntil = this.clock.now() + leaseMs
      for (const row of await this.find([...held])) this.#jobs.set(row.id, { ...row, leaseUntil })
      return held
    })
  }

  async owned(owner: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(ids.filter((id) => this.#jobs.get(id)?.owner === owner))
  }

  async removeExpired(limit: number): Promise<number> {
    const now = this.clock.now()
    for (const { key, job, until } of this.#keys.values()) {
      const holding = this.#jobs.get(job)
      // A job that has not ended keeps its key until it has.
      const isFree = holding === undefined || hasEnded(holding.state)
      if (isFree && until !== undefined && until <= now) this.#keys.delete(key)
    }
    const expired = [...this.#jobs.values()].filter(
      (row) => row.removeAt !== undefined && row.removeAt <= now && !this.#isAwaited(row),
    )
    for (const { id } of expired.slice(0, limit)) this.#jobs.delete(id)
    return Math.min(expired.length, limit)
  }

  async removeBeyond(name: string, state: JobState, count: number, limit: number): Promise<number> {
    const rows = [...this.#jobs.values()].filter((row) => row.name === name && row.state === state)
    rows.sort((one, other) => (other.finishedAt ?? 0) - (one.finishedAt ?? 0))
    const over = rows.slice(count).filter((row) => !this.#isAwaited(row))
    const removed = over.slice(0, limit)
    for (const { id } of removed) this.#jobs.delete(id)
    return removed.length
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** By a parent that has not ended. */
  #isAwaited({ parent }: JobRow): boolean {
    const waiting = parent === undefined ? undefined : this.#jobs.get(parent)
    return waiting !== undefined && !hasEnded(waiting.state)
  }

  /** One after the other, so that nobody sees half of one. */
  async #serially<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return await result
  }

  async #run<Result>(work: (rows: JobRows) => Promise<Result>): Promise<Result> {
    const before: Before = { jobs: new Map(), keys: new Map(), schedules: new Map() }
    try {
      let isAnnounced = false
      const announce = () => {
        isAnnounced = true
      }
      const result = await work({ ...this.#rows(before), announce })
      if (isAnnounced) for (const listener of this.#listeners) listener()
      return result
    } catch (error) {
      restore(this.#jobs, before.jobs)
      restore(this.#keys, before.keys)
      restore(this.#schedules, before.schedules)
      throw error
    }
  }

  /** Remembers what each was before it was first changed. */
  #rows(before: Before): Omit<JobRows, 'announce'> {
    const putJob = (row: JobRow) => {
      if (!before.jobs.has(row.id)) before.jobs.set(row.id, this.#jobs.get(row.id))
      this.#jobs.set(row.id, row)
    }
    const rememberKey = (key: string) => {
      if (!before.keys.has(key)) before.keys.set(key, this.#keys.get(key))
    }
    const rememberSchedule = (id: string) => {
      if (!before.schedules.has(id)) before.schedules.set(id, this.#schedules.get(id))
    }
    return {
      now: this.clock.now(),
      lock: (ids) => this.find(ids),
      lockKeys: async () => {},
      keys: async (keys) => keys.flatMap((key) => this.#keys.get(key) ?? []),
      putKeys: async (keys) => {
        for (const each of keys) {
          rememberKey(each.key)
          this.#keys.set(each.key, each)
        }
      },
      releaseKeys: async (jobs) => {
        const now = this.clock.now()
        for (const { key, job, until } of this.#keys.values()) {
          if (!jobs.includes(job) || (until !== undefined && until > now)) continue
          rememberKey(key)
          this.#keys.delete(key)
        }
      },
      insert: async (rows) => {
        const free = rows.filter(({ id }) => !this.#jobs.has(id))
        for (const row of free) putJob(row)
        return new Set(free.map(({ id }) => id))
      },
      update: async (rows) => {
        for (const row of rows) putJob(row)
      },
      toSend: async ({ queue, names, isSent }, limit) =>
        this.#waiting(queue)
          .filter((row) => row.isSent === isSent && row.sendAt <= this.clock.now())
          .filter(({ name }) => names?.includes(name) ?? true)
          .sort(
            (one, other) =>
              other.priority - one.priority || one.sendAt - other.sendAt || one.ordinal - other.ordinal,
          )
          .slice(0, limit)
          .map(({ id }) => id),
      running: async (queue) =>
        [...this.#jobs.values()].filter(
          (row) => row.queue === queue && (row.state === 'active' || (row.state === 'waiting' && row.isSent)),
        ).length,
      leaseEnded: async (limit) =>
        [...this.#jobs.values()]
          .filter(({ state, leaseUntil = 0 }) => state === 'active' && leaseUntil <= this.clock.now())
          .slice(0, limit)
          .map(({ id }) => id),
      children: async (parents) =>
        [...this.#jobs.values()]
          .filter(({ parent }) => parent !== undefined && parents.includes(parent))
          .map(({ id }) => id),
      lockSchedules: async (ids) => ids.flatMap((id) => this.#schedules.get(id) ?? []),
      dueSchedules: async (limit) => {
        const now = this.clock.now()
        const due = [...this.#schedules.values()].filter(
          ({ nextAt = Number.POSITIVE_INFINITY }) => nextAt <= now,
        )
        return due.slice(0, limit).map(({ id }) => id)
      },
      putSchedules: async (rows) => {
        for (const row of rows) {
          rememberSchedule(row.id)
          this.#schedules.set(row.id, row)
        }
      },
      removeSchedules: async (ids) => {
        for (const id of ids) {
          rememberSchedule(id)
          this.#schedules.delete(id)
        }
      },
    }
  }

  #waiting(queue: string): JobRow[] {
    return [...this.#jobs.values()].filter((row) => row.state === 'waiting' && row.queue === queue)
  }

  #stateOf({ state, dueAt }: JobRow): JobState {
    return state === 'waiting' && dueAt > this.clock.now() ? 'delayed' : state
  }

  #fits(row: JobRow, { name, queue, states, parent, changedSince }: JobFilter): boolean {
    return (
      (name === undefined || row.name === name) &&
      (queue === undefined || row.queue === queue) &&
      (states === undefined || states.includes(this.#stateOf(row))) &&
      (parent === undefined || row.parent === parent) &&
      (changedSince === undefined || row.updatedAt >= changedSince)
    )
  }
}

/** What was there before a transaction changed it. */
interface Before {
  readonly jobs: Map<string, JobRow | undefined>
  readonly keys: Map<string, JobKey | undefined>
  readonly schedules: Map<string, ScheduleRow | undefined>
}

function earliest(moments: readonly (number | undefined)[]): number | undefined {
  return moments.reduce(
    (first, each) => (each === undefined || (first ?? each) < each ? first : each),
    undefined,
  )
}

function isBefore(row: JobRow, { at, id }: JobCursor): boolean {
  return row.createdAt < at || (row.createdAt === at && row.id < id)
}

function restore<Key, Value>(map: Map<Key, Value>, before: ReadonlyMap<Key, Value | undefined>): void {
  for (const [key, value] of before) {
    if (value === undefined) map.delete(key)
    else map.set(key, value)
  }
}
