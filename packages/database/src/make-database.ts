import type { Connection } from './connection.ts'
import type { Database } from './database.ts'
import { migrate } from './migrations/migrate.ts'
import { plainMigrations } from './migrations/plain-sql.ts'

/** A database over a connection: what is the same for all of them. For packages of a database, not for applications. */
export function makeDatabase(connection: Connection): Database {
  const { dialect } = connection
  const close = () => connection.close()
  return {
    dialect,
    query: (sql, parameters) => connection.query(sql, parameters),
    transaction: (work) => connection.transaction(work),
    migrate: () => migrate(dialect, connection),
    migrations: () => plainMigrations(dialect),
    close,
    [Symbol.asyncDispose]: close,
  }
}
