import { type Connection, type Database, makeDatabase, SingleSession } from '@waybill/database/dialects'
import { sqliteDialect } from './dialect.ts'
import { parseSqliteOptions, type SqliteOptions } from './options.ts'
import { SqliteSession } from './sqlite-session.ts'

/**
 * Keeps inbox, outbox and marks in a SQLite file, by `node:sqlite`. Nothing is opened before the first query. Queries and
 * transactions run one after the other; several processes may share the file on one machine.
 *
 * @example
 * const database = sqlite({ path: 'shop.db' })
 * await database.migrate()
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function sqlite(options: SqliteOptions): Database {
  const { path, prefix, busyTimeout } = parseSqliteOptions(options)
  const dialect = sqliteDialect(prefix)
  const session = new SqliteSession(dialect, { path, busyTimeoutMs: busyTimeout })
  const turns = new SingleSession(session)
  const connection: Connection = {
    dialect,
    query: (sql, parameters) => turns.query(sql, parameters),
    transaction: (work) => turns.transaction(work),
    async close() {
      await turns.idle()
      session.close()
    },
  }
  return makeDatabase(connection)
}
