import { MessagingError } from '@waybill/core/driver'
import { type Connection, type Dialect, runTransaction, type Transaction } from '@waybill/database/dialects'
import type { PostgresClient, PostgresPool } from './clients.ts'
import { endsConnection } from './errors.ts'

/** A connection by a pool of `pg`, which is ended only if it was made for this. */
export class PoolConnection implements Connection {
  readonly dialect: Dialect
  readonly #channel: string
  readonly #getPool: () => Promise<PostgresPool>
  readonly #end: () => Promise<void>
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
    const client = await this.#connect()
    let isOver = false
    const end = (error?: unknown) => {
      if (isOver) return
      isOver = true
      client.removeListener('notification', onNotification)
      client.release(true)
      if (error !== undefined) onLost(toLoss(error))
    }
    const lost = (error?: unknown) => end(error ?? new Error('the connection was closed'))
    client.on('notification', onNotification)
    client.on('error', lost)
    client.on('end', lost)
    try {
      await client.query(`LISTEN "${this.#channel}"`)
    } catch (error) {
      end()
      throw this.dialect.explain(error) ?? error
    }
    return async () => end()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#end()
  }

  async #connect(): Promise<PostgresClient> {
    if (this.#isClosed) throw new MessagingError('closed', 'The database is closed')
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

function toLoss(error: unknown): Error {
  return error instanceof Error ? error : new Error('the connection was lost')
}
