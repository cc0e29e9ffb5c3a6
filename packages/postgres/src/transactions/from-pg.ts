import type { Transaction } from '@waybill/database'

interface PgClient {
  query(sql: string, parameters?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/**
 * The transaction that a client of `pg` is in.
 *
 * @example
 * await client.query('BEGIN')
 * await outbox.send(fromPg(client), OrderPlaced, order)
 * await client.query('COMMIT')
 */
export function fromPg(client: PgClient): Transaction {
  return {
    query: <Row>(sql: string, parameters: readonly unknown[] = []) =>
      rowsOf<Row>(client.query(sql, [...parameters])),
  }
}

/** The rows of a result; which columns they have is known to who wrote the query. */
export async function rowsOf<Row>(
  result: Promise<{ readonly rows: readonly unknown[] }>,
): Promise<readonly Row[]> {
  const { rows }: { readonly rows: readonly unknown[] } = await result
  return rows.filter((row): row is Row => row !== undefined)
}
