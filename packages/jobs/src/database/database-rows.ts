import { hash } from 'node:crypto'
import type { Dialect, Transaction } from '@waybill/database'
import type { ScheduleRow } from '../schedule.ts'
import type { JobKey, JobRow, JobRows, Lease, NamedToSend, RowChange, ToSend } from '../store.ts'
import {
  columns,
  columnValue,
  fromStored,
  fromStoredSchedule,
  incomingRows,
  jobColumn,
  keyColumns,
  type StoredJob,
  type StoredSchedule,
  scheduleColumns,
} from './row-columns.ts'
import type { Statements } from './statements.ts'

// From here on it takes less time to put rows in as texts.
const many = 10

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
    const incoming = incomingRows(this.#dialect, keyColumns, keys, (row, field) => row[field])
    await this.#transaction.query(this.#statements.putKeys(incoming), incoming.parameters)
  }

  async releaseKeys(jobs: readonly string[]): Promise<void> {
    if (jobs.length > 0) await this.#transaction.query(this.#statements.releaseKeys, [jobs, this.now])
  }

  async insert(rows: readonly JobRow[]): Promise<ReadonlySet<string>> {
    if (rows.length === 0) return new Set()
    const incoming = incomingRows(this.#dialect, columns, rows, columnValue, rows.length >= many)
    return new Set(await this.#ids(this.#statements.insert(incoming), incoming.parameters))
  }

  async update(rows: readonly JobRow[]): Promise<void> {
    // Most changes are of a few columns; data, which may be large, is in none of them as a rule.
    const changed = columns.filter(({ field }) =>
      rows.some((row) => row[field] !== this.#stored.get(row.id)?.[field]),
    )
    if (changed.length === 0) return
    const incoming = incomingRows(this.#dialect, [jobColumn, ...changed], rows, columnValue)
    await this.#transaction.query(this.#statements.update(changed, incoming), incoming.parameters)
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
    const incoming = incomingRows(this.#dialect, [jobColumn, ...changed], rows, columnValue)
    return new Set(await this.#ids(this.#statements.replace(changed, incoming), incoming.parameters))
  }

  async toSend({ queue, names, isSent }: ToSend, limit: number): Promise<readonly string[]> {
    const parameters = [queue, isSent ? 1 : 0, this.now, limit]
    const { toSend, toSendNamed } = this.#statements
    return names === undefined
      ? await this.#ids(toSend, parameters)
      : await this.#ids(toSendNamed, [...parameters, names])
  }

  async beginDue(
    { queue, names, isSent }: NamedToSend,
    limit: number,
    { owner, leaseMs }: Lease,
  ): Promise<readonly JobRow[]> {
    const parameters = [queue, isSent ? 1 : 0, this.now, limit, owner, this.now + leaseMs, names]
    return (await this.#transaction.query<StoredJob>(this.#statements.beginDue, parameters)).map(fromStored)
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
    const incoming = incomingRows(this.#dialect, scheduleColumns, rows, (row, field) =>
      field === 'details' ? JSON.stringify(row.details) : row[field],
    )
    await this.#transaction.query(this.#statements.putSchedules(incoming), incoming.parameters)
  }

  async removeSchedules(ids: readonly string[]): Promise<void> {
    await this.#transaction.query(this.#statements.removeSchedules, [ids])
  }

  async #ids(sql: string, parameters: readonly unknown[]): Promise<readonly string[]> {
    return (await this.#transaction.query<{ id: string }>(sql, parameters)).map(({ id }) => id)
  }
}
