import { hash } from 'node:crypto'
import type { Dialect, Transaction } from '@waybill/database'
import type { ScheduleRow } from '../schedule.ts'
import type { JobKey, JobRow, JobRows, RowChange, ToSend } from '../store.ts'
import {
  changeParameters,
  columns,
  fromStored,
  fromStoredSchedule,
  incomingParameters,
  keyColumns,
  type StoredJob,
  type StoredSchedule,
  scheduleColumns,
  toIncoming,
} from './row-columns.ts'
import type { Statements } from './statements.ts'

interface StoredKey {
  readonly key: string
  readonly job: string
  readonly until_at: number | string | null
}

/** The rows of jobs within a transaction of the database. */
export class DatabaseRows implements JobRows {
  readonly now: number
  isAnnounced = false
  readonly #transaction: Transaction
  readonly #statements: Statements
  readonly #dialect: Dialect
  /** As they are in the database, of those that were locked. */
  readonly #stored = new Map<string, JobRow>()

  constructor(transaction: Transaction, dialect: Dialect, statements: Statements, now: number) {
    this.#transaction = transaction
    this.#dialect = dialect
    this.#statements = statements
    this.now = now
  }

  announce(): void {
    this.isAnnounced = true
  }

  async lock(ids: readonly string[], { withoutData = false } = {}): Promise<readonly JobRow[]> {
    if (ids.length === 0) return []
    const { lock, lockWithoutData } = this.#statements
    const found = await this.#transaction.query<StoredJob>(withoutData ? lockWithoutData : lock, [ids])
    const rows = found.map(fromStored)
    for (const row of rows) this.#stored.set(row.id, row)
    return rows
  }

  async lockKeys(keys: readonly string[]): Promise<void> {
    const { keyLocks } = this.#statements
    if (keyLocks === undefined || keys.length === 0) return
    const locks = keys.map((key) =>
      hash('sha256', JSON.stringify([this.#dialect.namespace, 'job', key]), 'buffer')
        .readBigInt64BE(0)
        .toString(),
    )
    await this.#transaction.query(keyLocks, [[...new Set(locks)].sort()])
  }

  async keys(keys: readonly string[]): Promise<readonly JobKey[]> {
    if (keys.length === 0) return []
    const found = await this.#transaction.query<StoredKey>(this.#statements.keys, [keys])
    return found.map(({ key, job, until_at: until }) => ({
      key,
      job,
      until: until === null ? undefined : Number(until),
    }))
  }

  async putKeys(keys: readonly JobKey[]): Promise<void> {
    if (keys.length === 0) return
    const parameters = incomingParameters(this.#dialect, keyColumns, keys)
    await this.#transaction.query(this.#statements.putKeys, parameters)
  }

  async releaseKeys(jobs: readonly string[]): Promise<void> {
    if (jobs.length > 0) await this.#transaction.query(this.#statements.releaseKeys, [jobs, this.now])
  }

  async insert(rows: readonly JobRow[]): Promise<ReadonlySet<string>> {
    if (rows.length === 0) return new Set()
    return new Set(await this.#ids(this.#statements.insert, this.#incoming(rows)))
  }

  async update(rows: readonly JobRow[]): Promise<void> {
    // Most changes are of a few columns; data, which may be large, is in none of them as a rule.
    const changed = columns.filter(({ field }) =>
      rows.some((row) => row[field] !== this.#stored.get(row.id)?.[field]),
    )
    if (changed.length === 0) return
    const parameters = changeParameters(this.#dialect, changed, rows)
    await this.#transaction.query(this.#statements.update(changed), parameters)
    for (const row of rows) this.#stored.set(row.id, row)
  }

  async replace(changes: readonly RowChange[]): Promise<ReadonlySet<string>> {
    // Always in one order, so that two transactions hardly ever wait for each other.
    const sorted = changes.toSorted(({ after: one }, { after: other }) => (one.id < other.id ? -1 : 1))
    const changed = columns.filter(({ field }) =>
      sorted.some(({ before, after }) => before[field] !== after[field]),
    )
    if (changed.length === 0) return new Set()
    const rows = sorted.map(({ after }) => after)
    const parameters = changeParameters(this.#dialect, changed, rows)
    return new Set(await this.#ids(this.#statements.replace(changed), parameters))
  }

  async toSend({ queue, names, isSent }: ToSend, limit: number): Promise<readonly string[]> {
    const parameters = [queue, isSent ? 1 : 0, this.now, limit]
    const { toSend, toSendNamed } = this.#statements
    return names === undefined
      ? await this.#ids(toSend, parameters)
      : await this.#ids(toSendNamed, [...parameters, names])
  }

  async running(queue: string): Promise<number> {
    await this.lockKeys([`queue ${queue}`])
    const [row] = await this.#transaction.query<{ number: number | string }>(this.#statements.running, [
      queue,
    ])
    return Number(row?.number ?? 0)
  }

  async leaseEnded(limit: number): Promise<readonly string[]> {
    return await this.#ids(this.#statements.leaseEnded, [this.now, limit])
  }

  async children(parents: readonly string[]): Promise<readonly string[]> {
    return parents.length === 0 ? [] : await this.#ids(this.#statements.children, [parents])
  }

  async lockSchedules(ids: readonly string[]): Promise<readonly ScheduleRow[]> {
    if (ids.length === 0) return []
    const found = await this.#transaction.query<StoredSchedule>(this.#statements.lockSchedules, [ids])
    return found.map(fromStoredSchedule)
  }

  async dueSchedules(limit: number): Promise<readonly string[]> {
    return await this.#ids(this.#statements.dueSchedules, [this.now, limit])
  }

  async putSchedules(rows: readonly ScheduleRow[]): Promise<void> {
    if (rows.length === 0) return
    const incoming = rows.map((row) => ({ ...row, details: JSON.stringify(row.details) }))
    const parameters = incomingParameters(this.#dialect, scheduleColumns, incoming)
    await this.#transaction.query(this.#statements.putSchedules, parameters)
  }

  async removeSchedules(ids: readonly string[]): Promise<void> {
    await this.#transaction.query(this.#statements.removeSchedules, [ids])
  }

  #incoming(rows: readonly JobRow[]): readonly unknown[] {
    return incomingParameters(this.#dialect, columns, rows.map(toIncoming))
  }

  async #ids(sql: string, parameters: readonly unknown[]): Promise<readonly string[]> {
    return (await this.#transaction.query<{ id: string }>(sql, parameters)).map(({ id }) => id)
  }
}
