import type { Database } from '@waybill/database'
import { postgres } from '@waybill/postgres'
import { sqlite } from '@waybill/sqlite'

/**
 * The database of a run: `sqlite:PATH`, `pglite:` or `postgres://…`. In a PostgreSQL each run has a schema of its own, for our
 * tables and for those of the example.
 */
export function openDatabase(url: string, run: string): Database {
  if (url.startsWith('sqlite:')) return sqlite({ path: url.slice('sqlite:'.length) })
  if (url.startsWith('pglite:')) return postgres({ url })
  const schema = schemaOf(run)
  const own = new URL(url)
  own.searchParams.set('options', `-c search_path=${schema}`)
  return postgres({ url: own.href, schema })
}

/** Removes what a run has left in a PostgreSQL. */
export async function dropTables(url: string, run: string): Promise<void> {
  if (!/^postgres(ql)?:/.test(url)) return
  await using database = openDatabase(url, run)
  await database.query(`DROP SCHEMA IF EXISTS ${schemaOf(run)} CASCADE`)
}

function schemaOf(run: string): string {
  return run.replaceAll('-', '_')
}
