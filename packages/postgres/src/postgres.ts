import { type Connection, type Database, makeDatabase } from '@waybill/database/dialects'
import { channelOf, postgresDialect } from './dialect.ts'
import { givenConnection } from './given-connection.ts'
import { type PostgresOptions, parsePostgresOptions } from './options.ts'
import { ownPglite, ownPool } from './own-clients.ts'
import { PgliteConnection } from './pglite-connection.ts'
import { PoolConnection } from './pool-connection.ts'

/**
 * Keeps inbox, outbox and marks in PostgreSQL 15 or later, by a pool of `pg`, or in the embedded PGlite. Nothing is connected
 * before the first query.
 *
 * @example
 * const database = postgres({ url: 'postgres://shop@db.example/shop' })
 * const embedded = postgres({ url: 'pglite:' })
 * const shared = postgres({ pool, schema: 'messaging' })
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function postgres(options: PostgresOptions): Database {
  return makeDatabase(connectionOf(options))
}

function connectionOf(options: PostgresOptions): Connection {
  const { url, pool, pglite, queries, schema, prefix } = parsePostgresOptions(options)
  const dialect = postgresDialect(schema, prefix)
  const channel = channelOf(schema, prefix)
  const leaveOpen = async () => {}
  if (pool !== undefined) return new PoolConnection(dialect, channel, async () => pool, leaveOpen)
  if (pglite !== undefined) return new PgliteConnection(dialect, channel, async () => pglite, leaveOpen)
  if (queries !== undefined) {
    return givenConnection(dialect, queries)
  }
  const [scheme, rest = ''] = (url ?? '').split(/:(.*)/s)
  if (scheme === 'pglite') {
    const own = ownPglite(rest)
    return new PgliteConnection(dialect, channel, own.get, own.end)
  }
  const own = ownPool(url ?? '')
  return new PoolConnection(dialect, channel, own.get, own.end)
}
