import type { Dialect } from './dialect.ts'
import type { Queries, Transaction } from './transaction.ts'

/**
 * A database under READ COMMITTED, which statements of ours are written for, whatever transactions have by default. Under a stricter
 * isolation they would fail each other's and those of the application, and count what was there before they had waited for a lock.
 */
export class ReadCommitted implements Queries {
  readonly #queries: Queries
  readonly #dialect: Dialect
  #isDefault: boolean | undefined

  constructor(queries: Queries, dialect: Dialect) {
    this.#queries = queries
    this.#dialect = dialect
  }

  async query<Row>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]> {
    const set = await this.#set()
    if (set === undefined) return await this.#queries.query<Row>(sql, parameters)
    return await this.#queries.transaction(async (transaction) => {
      await transaction.query(set)
      return await transaction.query<Row>(sql, parameters)
    })
  }

  async transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    const set = await this.#set()
    if (set === undefined) return await this.#queries.transaction(work)
    return await this.#queries.transaction(async (transaction) => {
      await transaction.query(set)
      return await work(transaction)
    })
  }

  /** What gives it to a transaction that has just begun; undefined: it has it. */
  async #set(): Promise<string | undefined> {
    const { readCommitted } = this.#dialect
    if (readCommitted === undefined || this.#isDefault === true) return undefined
    if (this.#isDefault === undefined) {
      const asked = `SELECT ${readCommitted.isDefault} AS is_default`
      const [row] = await this.#queries.query<{ is_default: boolean }>(asked)
      this.#isDefault = row?.is_default === true
      if (this.#isDefault) return undefined
    }
    return readCommitted.set
  }
}
