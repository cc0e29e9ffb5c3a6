import type { Transaction } from '@waybill/database'
import type { Order } from './messages.ts'
import { has, write } from './tables.ts'

/** Takes the money; false if the card is declined. */
export async function charge(transaction: Transaction, order: Order): Promise<boolean> {
  if (order.card === 'declined') return false
  await write(transaction, order, 'charged', order.cents)
  return true
}

/** Gives it back, if it was taken. */
export async function refund(transaction: Transaction, order: Order): Promise<void> {
  if (!(await has(transaction, order, 'charged')) || (await has(transaction, order, 'refunded'))) return
  await write(transaction, order, 'refunded', -order.cents)
}
