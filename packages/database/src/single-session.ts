import { AsyncLocalStorage } from 'node:async_hooks'
import { MessagingError } from '@waybill/core/driver'
import type { Queries, Transaction } from './transaction.ts'

interface Turn {
  isOver: boolean
}

/**
 * The queries and transactions of a database that has one connection, one after the other. Outside of a transaction but within
 * its function a query would wait for itself, and is refused.
 */
export class SingleSession implements Queries {
  readonly #session: Queries
  readonly #turn = new AsyncLocalStorage<Turn>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(session: Queries) {
    this.#session = session
  }

  query<Row>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#next(() => this.#session.query<Row>(sql, parameters))
  }

  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#next(() => {
      const turn: Turn = { isOver: false }
      return this.#turn
        .run(turn, () => this.#session.transaction(work))
        .finally(() => {
          turn.isOver = true
        })
    })
  }

  /** Resolves when what was asked for before is done. */
  async idle(): Promise<void> {
    await this.#last
  }

  async #next<Result>(run: () => Promise<Result>): Promise<Result> {
    if (this.#turn.getStore()?.isOver === false) {
      const what = 'This database has one connection, which is in the transaction this runs in'
      throw new MessagingError(
        'rejected',
        `${what}: use the transaction that its function was given, not the database`,
      )
    }
    const result = this.#last.then(run)
    this.#last = result.catch(() => {})
    return await result
  }
}
