import { MessagingError } from '@waybill/core/driver'
import {
  type Connection,
  type Dialect,
  runWork,
  SingleSession,
  type Transaction,
} from '@waybill/database/dialects'
import type { PgliteClient } from './clients.ts'

/** A connection by PGlite, which is closed only if it was made for this. PGlite itself keeps others out of a transaction. */
export class PgliteConnection implements Connection {
  readonly dialect: Dialect
  readonly #channel: string
  readonly #getClient: () => Promise<PgliteClient>
  readonly #end: () => Promise<void>
  readonly #turns: SingleSession
  #isClosed = false

  constructor(
    dialect: Dialect,
    channel: string,
    getClient: () => Promise<PgliteClient>,
    end: () => Promise<void>,
  ) {
    this.dialect = dialect
    this.#channel = channel
    this.#getClient = getClient
    this.#end = end
    this.#turns = new SingleSession({
      query: <Row>(sql: string, parameters: readonly unknown[] = []) =>
        this.#explained<readonly Row[]>(
          async (client) => (await client.query<Row>(sql, [...parameters])).rows,
        ),
      transaction: (work) =>
        this.#explained((client) =>
          client.transaction((transaction) =>
            runWork(
              dialect,
              async (sql, parameters) => (await transaction.query(sql, [...parameters])).rows,
              work,
            ),
          ),
        ),
    })
  }

  query<Row>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#turns.query(sql, parameters)
  }

  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#turns.transaction(work)
  }

  async listen(onNotification: () => void): Promise<() => Promise<void>> {
    const client = await this.#getClient()
    const end = await client.listen(this.#channel, () => onNotification())
    return async () => {
      if (!this.#isClosed) await end()
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#turns.idle()
    await this.#end()
  }

  async #explained<Result>(use: (client: PgliteClient) => Promise<Result>): Promise<Result> {
    if (this.#isClosed) throw new MessagingError('closed', 'The database is closed')
    try {
      return await use(await this.#getClient())
    } catch (error) {
      throw this.dialect.explain(error) ?? error
    }
  }
}
