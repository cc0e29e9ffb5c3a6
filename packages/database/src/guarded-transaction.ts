import { MessagingError } from '@waybill/core/driver'
import type { Dialect } from './dialect.ts'
import type { Transaction } from './transaction.ts'

type Query = (sql: string, parameters: readonly unknown[]) => Promise<readonly unknown[]>

/** A transaction that can be used until it ends, and tells what went wrong in our terms. */
export class GuardedTransaction implements Transaction {
  readonly #dialect: Dialect
  readonly #query: Query
  #isOpen = true
  #hasFailed = false

  constructor(dialect: Dialect, query: Query) {
    this.#dialect = dialect
    this.#query = query
  }

  /** A statement failed. PostgreSQL then commits nothing, unless a savepoint was returned to. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  query<Row>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]>
  async query(sql: string, parameters: readonly unknown[] = []): Promise<readonly unknown[]> {
    if (!this.#isOpen) {
      const what = 'The transaction has ended, so the query was not run'
      throw new MessagingError(
        'closed',
        `${what}: await everything that uses it before its function resolves`,
      )
    }
    try {
      return await this.#query(sql, parameters)
    } catch (error) {
      this.#hasFailed = true
      throw this.#dialect.explain(error) ?? error
    }
  }

  end(): void {
    this.#isOpen = false
  }
}
