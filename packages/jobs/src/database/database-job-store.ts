import { type Clock, MessagingError, sleep } from '@waybill/core/driver'
import { ServerClock } from '@waybill/core/driver-kit'
import type { Database, Queries, Transaction } from '@waybill/database'
import { ReadCommitted } from '@waybill/database/dialects'
import { type JobState, noJobs } from '../job.ts'
import type { ScheduleRow } from '../schedule.ts'
import type { JobCounts, JobCursor, JobFilter, JobRow, JobRows, JobStore } from '../store.ts'
import { ChangeNotices } from './change-notices.ts'
import { DatabaseRows } from './database-rows.ts'
import { fromStored, fromStoredSchedule, type StoredJob, type StoredSchedule } from './row-columns.ts'
import { type Statements, statementsOf } from './statements.ts'

interface Done<Result> {
  readonly result: Result
  readonly isAnnounced: boolean
}

// A transaction that others were faster than, or that waited in a circle, is undone and run again.
const mostTries = 10

/**
 * A store in PostgreSQL, PGlite or SQLite. The tables are made by `database.migrate()`. Jobs that are added within a transaction
 * of the application's are there when it has committed, or never.
 *
 * ```ts
 * const database = postgres({ url: process.env.DATABASE_URL })
 * await database.migrate()
 * const jobs = openJobs({ bus, store: databaseJobStore(database) })
 * ```
 */
export function databaseJobStore(database: Database): JobStore {
  return new DatabaseJobStore(database)
}

class DatabaseJobStore implements JobStore {
  // Of what is committed in a transaction of the application's, or while notifications were lost, nobody tells.
  readonly tellsAll = false
  readonly #database: Database
  readonly #queries: Queries
  readonly #clock: ServerClock
  readonly #statements: Statements
  readonly #notices: ChangeNotices
  readonly #listeners = new Set<() => void>()
  #endListening: (() => void) | undefined

  constructor(database: Database) {
    this.#database = database
    this.#queries = new ReadCommitted(database, database.dialect)
    this.#clock = new ServerClock(() => timeOf(database))
    this.#statements = statementsOf(database.dialect)
    this.#notices = new ChangeNotices(database, this.#statements.notify)
  }

  get clock(): Clock {
    return this.#clock
  }

  async transaction<Result>(work: (rows: JobRows) => Promise<Result>, outer?: Transaction): Promise<Result> {
    if (outer !== undefined) {
      // The clock was asked by whoever opened the jobs; a database of one connection could not be asked now.
      const { result, isAnnounced } = await this.#within(outer, work)
      // Sent when it commits.
      if (isAnnounced && this.#statements.notify !== undefined) await outer.query(this.#statements.notify)
      return result
    }
    return await this.#again(() =>
      this.#queries.transaction((transaction) => this.#within(transaction, work)),
    )
  }

  /** A statement is a transaction. */
  async step<Result>(work: (rows: JobRows) => Promise<Result>): Promise<Result> {
    return await this.#again(() => this.#within(this.#queries, work))
  }

  async find(ids: readonly string[]): Promise<readonly JobRow[]> {
    if (ids.length === 0) return []
    return (await this.#queries.query<StoredJob>(this.#statements.find, [ids])).map(fromStored)
  }

  async list(filter: JobFilter, limit: number, after?: JobCursor): Promise<readonly JobRow[]> {
    await this.#clock.ready()
    const { isIn } = this.#database.dialect
    const parameters: unknown[] = []
    const parameter = (value: unknown) => `$${parameters.push(value)}`
    const conditions: string[] = []
    if (filter.name !== undefined) conditions.push(`name = ${parameter(filter.name)}`)
    if (filter.queue !== undefined) conditions.push(`queue = ${parameter(filter.queue)}`)
    if (filter.parent !== undefined) conditions.push(`parent = ${parameter(filter.parent)}`)
    if (filter.changedSince !== undefined) conditions.push(`updated_at >= ${parameter(filter.changedSince)}`)
    if (filter.states !== undefined) conditions.push(this.#statesCondition(filter.states, parameter, isIn))
    if (after !== undefined) {
      const at = parameter(after.at)
      conditions.push(`(created_at < ${at} OR (created_at = ${at} AND id < ${parameter(after.id)}))`)
    }
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
    const order = filter.changedSince === undefined ? 'created_at DESC, id DESC' : 'updated_at, id'
    const rows = await this.#queries.query<StoredJob>(
      `${this.#statements.list} ${where} ORDER BY ${order} LIMIT ${parameter(limit)}`,
      parameters,
    )
    return rows.map(fromStored)
  }

  async counts({ name, queue }: Pick<JobFilter, 'name' | 'queue'>): Promise<JobCounts> {
    await this.#clock.ready()
    const parameters: unknown[] = [this.#clock.now()]
    const conditions: string[] = []
    if (name !== undefined) conditions.push(`name = $${parameters.push(name)}`)
    if (queue !== undefined) conditions.push(`queue = $${parameters.push(queue)}`)
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
    const rows = await this.#queries.query<{ shown: JobState; number: number | string }>(
      `${this.#statements.counts}${where} GROUP BY shown`,
      parameters,
    )
    const counts = noJobs()
    for (const { shown, number } of rows) counts[shown] = Number(number)
    return counts
  }

  async sentCount(queue: string): Promise<number> {
    const [row] = await this.#queries.query<{ number: number | string }>(this.#statements.sentCount, [queue])
    return Number(row?.number ?? 0)
  }

  async nextSendAt(queues: readonly string[]): Promise<ReadonlyMap<string, number>> {
    if (queues.length === 0) return new Map()
    await this.#clock.ready()
    const { dialect } = this.#database
    const incoming = dialect.rows(1, [{ name: 'queue', type: 'text' }])
    const rows = await this.#queries.query<{ queue: string; next_at: number | string | null }>(
      this.#statements.nextSendAt(incoming),
      dialect.rowParameters([queues]),
    )
    return new Map(rows.flatMap(({ queue, next_at: next }) => (next === null ? [] : [[queue, Number(next)]])))
  }

  async schedules(limit: number, after = ''): Promise<readonly ScheduleRow[]> {
    const rows = await this.#queries.query<StoredSchedule>(this.#statements.schedules, [after, limit])
    return rows.map(fromStoredSchedule)
  }

  async nextSweepAt(): Promise<number | undefined> {
    const rows = await this.#queries.query<{ next_at: number | string }>(this.#statements.nextSweepAt)
    return rows.length === 0 ? undefined : Math.min(...rows.map((row) => Number(row.next_at)))
  }

  async renew(owner: string, ids: readonly string[], leaseMs: number): Promise<ReadonlySet<string>> {
    await this.#clock.ready()
    return await this.#ids(this.#statements.renew, [ids, owner, this.#clock.now() + leaseMs])
  }

  async owned(owner: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return await this.#ids(this.#statements.owned, [ids, owner])
  }

  async removeExpired(limit: number): Promise<number> {
    await this.#clock.ready()
    const now = this.#clock.now()
    await this.#queries.query(this.#statements.removeKeys, [now])
    return (await this.#queries.query(this.#statements.removeExpired, [now, limit])).length
  }

  async removeBeyond(name: string, state: JobState, count: number, limit: number): Promise<number> {
    return (await this.#queries.query(this.#statements.removeBeyond, [name, state, count, limit])).length
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    this.#endListening ??= this.#database.onNotification(() => this.#changed())
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      this.#endListening?.()
      this.#endListening = undefined
    }
  }

  /** Until it was not undone. */
  async #again<Result>(run: () => Promise<Done<Result>>): Promise<Result> {
    await this.#clock.ready()
    for (let tries = 1; ; tries += 1) {
      try {
        const { result, isAnnounced } = await run()
        if (isAnnounced) {
          this.#changed()
          this.#notices.tell()
        }
        return result
      } catch (error) {
        if (tries === mostTries || !wasUndone(error)) throw error
      }
      await sleep(this.#clock, Math.random() * 10 * tries)
    }
  }

  async #within<Result>(
    transaction: Transaction,
    work: (rows: JobRows) => Promise<Result>,
  ): Promise<Done<Result>> {
    const { dialect } = this.#database
    const rows = new DatabaseRows(transaction, dialect, this.#statements, this.#clock.now())
    const result = await work(rows)
    return { result, isAnnounced: rows.isAnnounced }
  }

  #statesCondition(
    states: readonly JobState[],
    parameter: (value: unknown) => string,
    isIn: Database['dialect']['isIn'],
  ): string {
    const now = this.#clock.now()
    const stored = states.filter((state) => state !== 'waiting' && state !== 'delayed')
    const choices = [isIn('state', parameter(stored), 'text')]
    if (states.includes('waiting')) choices.push(`(state = 'waiting' AND due_at <= ${parameter(now)})`)
    if (states.includes('delayed')) choices.push(`(state = 'waiting' AND due_at > ${parameter(now)})`)
    return `(${choices.join(' OR ')})`
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }

  async #ids(sql: string, parameters: readonly unknown[]): Promise<ReadonlySet<string>> {
    const rows = await this.#queries.query<{ id: string }>(sql, parameters)
    return new Set(rows.map(({ id }) => id))
  }
}

async function timeOf(database: Database): Promise<number> {
  const { epochMs, now } = database.dialect
  const [row] = await database.query<{ now_ms: number | string }>(`SELECT ${epochMs(now)} AS now_ms`)
  return Number(row?.now_ms)
}

function wasUndone(error: unknown): boolean {
  return MessagingError.is(error) && error.retryable && error.code === 'failed'
}
