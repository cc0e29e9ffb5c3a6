import type { Database } from '@waybill/database'
import { feeOf } from './ledger.ts'
import type { Payment } from './messages.ts'
import type { Provider } from './provider.ts'

/** Every sum that does not add up, to the cent; none if all do. */
export async function audit(
  database: Database,
  provider: Provider,
  payments: readonly Payment[],
): Promise<readonly string[]> {
  const problems: string[] = []
  const expect = (what: string, actual: number, expected: number) => {
    if (actual !== expected) problems.push(`${what}: ${actual} instead of ${expected}`)
  }
  const sum = async (where: string) => {
    const [row] = await database.query<{ readonly cents: number | null }>(
      `SELECT sum(cents) AS cents FROM entries WHERE ${where}`,
    )
    return Number(row?.cents ?? 0)
  }
  const captured = payments.filter(({ card }) => card !== 'declined')
  const total = captured.reduce((cents, payment) => cents + payment.cents, 0)
  const fees = captured.reduce((cents, payment) => cents + feeOf(payment.cents), 0)
  expect('all entries together', await sum('1 = 1'), 0)
  expect('cents from customers', await sum("account LIKE 'customer %'"), -total)
  expect('cents of fees', await sum("account = 'fees'"), fees)
  expect('cents of the merchant', await sum("account = 'merchant'"), total - fees)
  expect('cents that the provider charged', await provider.charged(), total)
  const uneven = await database.query<{ readonly payment_id: string }>(
    'SELECT payment_id FROM entries GROUP BY payment_id HAVING sum(cents) <> 0 OR count(*) <> 3',
  )
  for (const { payment_id } of uneven) problems.push(`payment ${payment_id} is not booked in three entries`)
  return problems
}
