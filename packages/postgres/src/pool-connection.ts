import { MessagingError } from '@waybill/core/driver'
import { type Connection, type Dialect, runTransaction, type Transaction } from '@waybill/database/dialects'
import type { PostgresClient, PostgresPool } from './clients.ts'
import { endsConnection } from './errors.ts'
import { listenBy } from './pool-listener.ts'

/** A connection by a pool of `pg`, which is ended only if it was made for this. */
export class PoolConnection implements Connection {
  readonly dialect: Dialect
  readonly #channel: string
  readonly #getPool: () => Promise<PostgresPool>
  readonly #end: () => Promise<void>
  /** What was asked and has no answer yet. */
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false

  constructor(
    dialect: Dialect,
    channel: string,
    getPool: () => Promise<PostgresPool>,
    end: () => Promise<void>,
  ) {
    this.dialect = dialect
    this.#channel = channel
    this.#getPool = getPool
    this.#end = end
  }

  query<Row>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]>
  query(sql: string, parameters: readonly unknown[] = []): Promise<readonly unknown[]> {
    return this.#withClient(async (client) => (await client.query(sql, [...parameters])).rows)
  }

  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#withClient((client, spoiled) =>
      runTransaction(
        this.dialect,
        {
          begin: 'BEGIN',
          spoiled,
          run: async (sql, parameters) => (await client.query(sql, [...parameters])).rows,
        },
        work,
      ),
    )
  }

  async listen(onNotification: () => void, onLost: (error: Error) => void): Promise<() => Promise<void>> {
    const pool = await this.#getPool()
    if (pool.options?.max === 1) {
      const what =
        'The pool has one connection, which cannot be kept for notifications, so relays look by themselves'
      throw new MessagingError('unsupported', `${what}. Give it a max of 2 or more`)
    }
    if (this.#isClosed) throw isClosed()
    try {
      const end = await listenBy(pool, { channel: this.#channel, onNotification, onLost })
      return async () => end()
    } catch (error) {
      throw this.dialect.explain(error) ?? error
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    // A pool that ends forgets who waits for a connection: they would never be answered.
    await Promise.allSettled([...this.#underWay])
    await this.#end()
  }

  async #connect(): Promise<PostgresClient> {
    if (this.#isClosed) throw isClosed()
    try {
      const pool = await this.#getPool()
      return await pool.connect()
    } catch (error) {
      throw this.dialect.explain(error) ?? error
    }
  }

  async #withClient<Result>(
    use: (client: PostgresClient, spoiled: () => void) => Promise<Result>,
  ): Promise<Result> {
    const work = this.#using(use)
    this.#underWay.add(work)
    try {
      return await work
    } finally {
      this.#underWay.delete(work)
    }
  }

  async #using<Result>(
    use: (client: PostgresClient, spoiled: () => void) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.#connect()
    let isSpoiled = false
    const spoiled = () => {
      isSpoiled = true
    }
    // Without a listener a connection that ends while nothing is asked of it would end the process.
    client.on('error', spoiled)
    try {
      return await use(client, spoiled)
    } catch (error) {
      if (endsConnection(error)) spoiled()
      throw this.dialect.explain(error) ?? error
    } finally {
      client.removeListener('error', spoiled)
      client.release(isSpoiled)
    }
  }
}

function isClosed(): MessagingError {
  return new MessagingError('closed', 'The database is closed')
}
