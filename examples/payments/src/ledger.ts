import type { Database, Transaction } from '@waybill/database'
import type { Payment } from './messages.ts'

/** Books in double entry: what one account loses another gains, so that all entries together are always nothing. */
export async function openLedger(database: Database): Promise<void> {
  await database.migrate()
  await database.transaction(async (transaction) => {
    await transaction.query(
      'CREATE TABLE payments (payment_id text PRIMARY KEY, status text NOT NULL, cents integer NOT NULL)',
    )
    await transaction.query(
      `CREATE TABLE entries (position ${database.dialect.types.position}, payment_id text NOT NULL, account text NOT NULL, cents integer NOT NULL)`,
    )
  })
}

/** The provider's fee: 29 thousandths of the amount, in whole cents, and 30 cents, but never more than there is. */
export function feeOf(cents: number): number {
  return Math.min(cents, Math.round((cents * 29) / 1000) + 30)
}

/** False if the payment is in the books already, under whatever message. */
export async function book(
  transaction: Transaction,
  { paymentId, customer, cents }: Payment,
  status: 'captured' | 'declined',
): Promise<boolean> {
  const rows = await transaction.query(
    'INSERT INTO payments (payment_id, status, cents) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING status',
    [paymentId, status, cents],
  )
  if (rows.length === 0) return false
  if (status === 'declined') return true
  const fee = feeOf(cents)
  const entries = [
    { account: `customer ${customer}`, change: -cents },
    { account: 'merchant', change: cents - fee },
    { account: 'fees', change: fee },
  ]
  for (const { account, change } of entries)
    await transaction.query('INSERT INTO entries (payment_id, account, cents) VALUES ($1, $2, $3)', [
      paymentId,
      account,
      change,
    ])
  return true
}

export async function isBooked(database: Database, paymentId: string): Promise<boolean> {
  const rows = await database.query('SELECT 1 FROM payments WHERE payment_id = $1', [paymentId])
  return rows.length > 0
}

export async function bookedCount(database: Database): Promise<number> {
  const [row] = await database.query<{ readonly count: number }>('SELECT count(*) AS count FROM payments')
  return Number(row?.count ?? 0)
}
