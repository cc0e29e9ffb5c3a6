import { setImmediate } from 'node:timers/promises'
import { MessagingError } from '@waybill/core/driver'
import type { Dialect } from './dialect.ts'
import type { Transaction } from './transaction.ts'

// Ends the transaction behind its function's back. To return to a savepoint is fine.
const transactionControl =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i

type Query = (sql: string, parameters: readonly unknown[]) => Promise<readonly unknown[]>

/** A transaction that can be used until it ends, and tells what went wrong in our terms. */
export class GuardedTransaction implements Transaction {
  readonly #dialect: Dialect
  readonly #query: Query
  #isOpen = true
  #hasFailed = false
  #running = 0
  #whenIdle: (() => void) | undefined

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
    if (transactionControl.test(sql)) {
      const what = 'The function of a transaction cannot begin or end it, so the query was not run'
      throw new MessagingError('rejected', `${what}: let it resolve to commit, or throw to roll back`)
    }
    this.#running += 1
    try {
      return await this.#query(sql, parameters)
    } catch (error) {
      this.#hasFailed = true
      throw this.#dialect.explain(error) ?? error
    } finally {
      this.#running -= 1
      if (this.#running === 0) this.#whenIdle?.()
    }
  }

  /** Resolves when nothing runs in it any more, whether anybody waits for it or not. */
  async idle(): Promise<void> {
    while (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
      // What waited for them may go on to the next.
      await setImmediate()
    }
  }

  end(): void {
    this.#isOpen = false
  }
}
