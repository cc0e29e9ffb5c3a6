import type { Transaction } from '@waybill/database'
import type { Order } from './messages.ts'
import { write } from './tables.ts'

/** Hands the parcel over; false if nobody delivers there. */
export async function ship(transaction: Transaction, order: Order): Promise<boolean> {
  if (order.address === 'nowhere') return false
  await write(transaction, order, 'shipped', order.quantity)
  return true
}
