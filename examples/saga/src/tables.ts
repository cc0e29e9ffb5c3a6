import type { Database, Transaction } from '@waybill/database'
import type { Order } from './messages.ts'

/** What a service did for an order. A journal, so that what is done twice is there twice. */
export type Effect = 'reserved' | 'released' | 'charged' | 'refunded' | 'shipped'

/** One database for all services, for the demonstration. They share no table but the journal of the audit. */
export async function makeTables(database: Database, shelf: Readonly<Record<string, number>>): Promise<void> {
  await database.migrate()
  await database.transaction(async (transaction) => {
    const tables = [
      'CREATE TABLE shelf (sku text PRIMARY KEY, units integer NOT NULL)',
      `CREATE TABLE journal (position ${database.dialect.types.position}, order_id text NOT NULL, effect text NOT NULL, amount integer NOT NULL)`,
      'CREATE INDEX journal_of ON journal (order_id)',
      'CREATE TABLE order_view (order_id text PRIMARY KEY, status text NOT NULL)',
    ]
    for (const statement of tables) await transaction.query(statement)
    for (const [sku, units] of Object.entries(shelf))
      await transaction.query('INSERT INTO shelf (sku, units) VALUES ($1, $2)', [sku, units])
  })
}

export async function write(
  transaction: Transaction,
  { orderId }: Order,
  effect: Effect,
  amount: number,
): Promise<void> {
  await transaction.query('INSERT INTO journal (order_id, effect, amount) VALUES ($1, $2, $3)', [
    orderId,
    effect,
    amount,
  ])
}

export async function has(transaction: Transaction, { orderId }: Order, effect: Effect): Promise<boolean> {
  const rows = await transaction.query('SELECT 1 FROM journal WHERE order_id = $1 AND effect = $2', [
    orderId,
    effect,
  ])
  return rows.length > 0
}
