import type { Transaction } from '@waybill/database'
import { rowsOf } from './from-pg.ts'

interface PrismaTransaction {
  $queryRawUnsafe(sql: string, ...parameters: unknown[]): PromiseLike<unknown>
}

/**
 * An interactive transaction of Prisma on PostgreSQL.
 *
 * @example
 * await prisma.$transaction(async (tx) => {
 *   await tx.order.create({ data: order })
 *   await outbox.send(fromPrisma(tx), OrderPlaced, order)
 * })
 */
export function fromPrisma(transaction: PrismaTransaction): Transaction {
  return {
    query<Row>(sql: string, parameters: readonly unknown[] = []) {
      const rows = Promise.resolve(transaction.$queryRawUnsafe(sql, ...parameters))
      return rowsOf<Row>(rows.then((result) => ({ rows: Array.isArray(result) ? result : [] })))
    },
  }
}
