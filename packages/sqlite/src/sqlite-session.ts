import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { MessagingError, sleep, systemClock } from '@waybill/core/driver'
import { type Dialect, type Queries, runTransaction, type Transaction } from '@waybill/database/dialects'
import { numberedParameters, sqliteValue } from './statement.ts'

export interface SqliteSettings {
  readonly path: string
  readonly busyTimeoutMs: number
}

const rememberedStatements = 500

/** One connection to one file. Its caller runs one thing at a time. */
export class SqliteSession implements Queries {
  readonly #dialect: Dialect
  readonly #settings: SqliteSettings
  readonly #statements = new Map<string, StatementSync>()
  #database: DatabaseSync | undefined
  #isClosed = false

  constructor(dialect: Dialect, settings: SqliteSettings) {
    this.#dialect = dialect
    this.#settings = settings
  }

  query<Row>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]>
  async query(sql: string, parameters: readonly unknown[] = []): Promise<readonly unknown[]> {
    try {
      return await this.#waitingForOthers(() => this.#run(sql, parameters))
    } catch (error) {
      throw this.#dialect.explain(error) ?? error
    }
  }

  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    // It writes from the start: one that began by reading could not go on once another process has written.
    const begin = 'BEGIN IMMEDIATE'
    const run = async (sql: string, parameters: readonly unknown[]) => {
      if (sql === begin) return await this.#waitingForOthers(() => this.#run(sql, []))
      this.#requireTransaction()
      return this.#run(sql, parameters)
    }
    // Only when SQLite has ended the transaction by itself can it not be rolled back.
    return runTransaction(this.#dialect, { run, begin, spoiled: () => {} }, work)
  }

  close(): void {
    this.#isClosed = true
    this.#statements.clear()
    this.#database?.close()
    this.#database = undefined
  }

  /** Some errors make SQLite roll back by itself; what came after them would be committed statement by statement. */
  #requireTransaction(): void {
    if (this.#open().isTransaction) return
    const what = 'SQLite rolled the transaction back when a statement failed, so nothing of it was done'
    throw new MessagingError('failed', what, { retryable: true })
  }

  #run(sql: string, parameters: readonly unknown[]): readonly unknown[] {
    return this.#prepare(sql).all(...parameters.map(sqliteValue))
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#open().prepare(numberedParameters(sql))
    this.#statements.set(sql, statement)
    const [oldest] = this.#statements.size > rememberedStatements ? this.#statements.keys() : []
    if (oldest !== undefined) this.#statements.delete(oldest)
    return statement
  }

  #open(): DatabaseSync {
    if (this.#isClosed) throw new MessagingError('closed', 'The database is closed')
    if (this.#database !== undefined) return this.#database
    const database = new DatabaseSync(this.#settings.path)
    try {
      // A wait within SQLite would stop the process's event loop.
      database.exec('PRAGMA busy_timeout = 0')
      database.exec('PRAGMA foreign_keys = ON')
      const { journal_mode: mode } = database.prepare('PRAGMA journal_mode').get() ?? {}
      if (mode !== 'wal' && this.#settings.path !== ':memory:') database.exec('PRAGMA journal_mode = WAL')
    } catch (error) {
      database.close()
      throw error
    }
    this.#database = database
    return database
  }

  async #waitingForOthers<Result>(run: () => Result): Promise<Result> {
    const deadline = systemClock.monotonic() + this.#settings.busyTimeoutMs
    for (let waitMs = 1; ; waitMs = Math.min(50, waitMs * 2)) {
      try {
        return run()
      } catch (error) {
        if (!isBusy(error) || systemClock.monotonic() >= deadline) throw error
      }
      await sleep(systemClock, waitMs * (0.5 + Math.random()))
    }
  }
}

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code: unknown = Reflect.get(error, 'errcode')
  return typeof code === 'number' && (code & 0xff) === 5
}
