import type { Transaction } from '@waybill/database'
import { rowsOf } from './from-pg.ts'

interface RawNode {
  readonly kind: 'RawNode'
  readonly sqlFragments: readonly string[]
  readonly parameters: readonly never[]
}

interface RawQuery {
  readonly query: RawNode
  readonly queryId: { readonly queryId: string }
  readonly sql: string
  readonly parameters: readonly unknown[]
}

interface KyselyTransaction {
  executeQuery(query: RawQuery): Promise<{ readonly rows: readonly unknown[] }>
}

let queries = 0

/**
 * A transaction of Kysely.
 *
 * @example
 * await db.transaction().execute(async (trx) => {
 *   await trx.insertInto('orders').values(order).execute()
 *   await outbox.send(fromKysely(trx), OrderPlaced, order)
 * })
 */
export function fromKysely(transaction: KyselyTransaction): Transaction {
  return {
    query<Row>(sql: string, parameters: readonly unknown[] = []) {
      queries += 1
      return rowsOf<Row>(
        transaction.executeQuery({
          query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] },
          queryId: { queryId: `waybill-${queries}` },
          sql,
          parameters,
        }),
      )
    },
  }
}
