import type { Database } from '@waybill/database'
import type { Order } from './messages.ts'
import type { Effect } from './tables.ts'

/** What must have happened to an order: all of it, or what was done and its undoing, in this order and once each. */
export function expectedEffects(order: Order): readonly Effect[] {
  if (order.sku === 'out-of-print') return []
  if (order.card === 'declined') return ['reserved', 'released']
  if (order.address === 'nowhere') return ['reserved', 'charged', 'refunded', 'released']
  return ['reserved', 'charged', 'shipped']
}

interface Written {
  readonly order_id: string
  readonly effect: string
  readonly amount: number
}

/** Every order whose effects are not what they must be, and every sum that does not add up. */
export async function audit(
  database: Database,
  orders: readonly Order[],
  shelf: Readonly<Record<string, number>>,
): Promise<readonly string[]> {
  const journal = await database.query<Written>(
    'SELECT order_id, effect, amount FROM journal ORDER BY position',
  )
  const problems: string[] = []
  const expect = (what: string, actual: unknown, expected: unknown) => {
    if (String(actual) !== String(expected)) problems.push(`${what}: ${actual} instead of ${expected}`)
  }
  for (const order of orders) {
    const own = journal.filter(({ order_id }) => order_id === order.orderId)
    expect(order.orderId, own.map(({ effect }) => effect).join(', '), expectedEffects(order).join(', '))
  }
  const sum = (...effects: readonly Effect[]) =>
    journal
      .filter(({ effect }) => effects.some((each) => each === effect))
      .reduce((total, { amount }) => total + amount, 0)
  const shipped = orders.filter((order) => expectedEffects(order).includes('shipped'))
  expect(
    'cents',
    sum('charged', 'refunded'),
    shipped.reduce((total, { cents }) => total + cents, 0),
  )
  expect('units that were shipped', sum('shipped'), -sum('reserved', 'released'))
  const [books] = await database.query<{ units: number }>(`SELECT units FROM shelf WHERE sku = 'book'`)
  expect('books on the shelf', books?.units, (shelf.book ?? 0) - sum('shipped'))
  return problems
}
