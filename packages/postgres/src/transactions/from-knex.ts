import type { Transaction } from '@waybill/database'
import { rowsOf } from './from-pg.ts'
import { placeholders } from './placeholders.ts'

interface KnexRaw {
  raw(sql: string, bindings: readonly unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/**
 * A transaction of Knex.
 *
 * @example
 * await knex.transaction(async (trx) => {
 *   await trx('orders').insert(order)
 *   await outbox.send(fromKnex(trx), OrderPlaced, order)
 * })
 */
export function fromKnex(transaction: KnexRaw): Transaction {
  return {
    query<Row>(sql: string, parameters: readonly unknown[] = []) {
      const bindings: unknown[] = []
      const text = placeholders(sql)
        .map((part) => {
          // A question mark of the text itself is escaped (Knex documentation, "Raw parameter binding").
          if (typeof part === 'string') return part.replaceAll('?', '\\?')
          bindings.push(parameters[part - 1] ?? null)
          return '?'
        })
        .join('')
      return rowsOf<Row>(Promise.resolve(transaction.raw(text, bindings)))
    },
  }
}
