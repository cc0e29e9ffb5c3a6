import type { Transaction } from '@waybill/database'
import { rowsOf } from './from-pg.ts'
import { placeholders } from './placeholders.ts'

/** Of Drizzle's `sql`, what is used. */
interface DrizzleSql<Chunk> {
  raw(text: string): Chunk
  param(value: unknown): unknown
  join(chunks: unknown[]): Chunk
}

interface DrizzleTransaction<Chunk> {
  execute(query: Chunk): PromiseLike<{ readonly rows: readonly unknown[] }>
}

/**
 * A transaction of Drizzle on PostgreSQL; `sql` is that of `drizzle-orm`.
 *
 * @example
 * await db.transaction(async (tx) => {
 *   await tx.insert(orders).values(order)
 *   await outbox.send(fromDrizzle(tx, sql), OrderPlaced, order)
 * })
 */
export function fromDrizzle<Chunk>(
  transaction: DrizzleTransaction<Chunk>,
  sql: DrizzleSql<Chunk>,
): Transaction {
  return {
    query<Row>(text: string, parameters: readonly unknown[] = []) {
      const chunks = placeholders(text).map((part) =>
        typeof part === 'string' ? sql.raw(part) : sql.param(parameters[part - 1] ?? null),
      )
      return rowsOf<Row>(Promise.resolve(transaction.execute(sql.join(chunks))))
    },
  }
}
