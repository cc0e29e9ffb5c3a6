import type { Transaction } from '@waybill/database'
import type { Order } from './messages.ts'
import { has, write } from './tables.ts'

/** Sets units aside; false if there are too few. */
export async function reserve(transaction: Transaction, order: Order): Promise<boolean> {
  const { sku, quantity } = order
  const taken = await transaction.query(
    'UPDATE shelf SET units = units - $2 WHERE sku = $1 AND units >= $2 RETURNING sku',
    [sku, quantity],
  )
  if (taken.length === 0) return false
  await write(transaction, order, 'reserved', -quantity)
  return true
}

/** Puts them back, if they were set aside. */
export async function release(transaction: Transaction, order: Order): Promise<void> {
  if (!(await has(transaction, order, 'reserved')) || (await has(transaction, order, 'released'))) return
  const { sku, quantity } = order
  await transaction.query('UPDATE shelf SET units = units + $2 WHERE sku = $1', [sku, quantity])
  await write(transaction, order, 'released', quantity)
}
