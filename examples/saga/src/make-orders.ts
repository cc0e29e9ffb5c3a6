import { randomNumbers } from '@waybill/example-workers'
import type { Order } from './messages.ts'

/** Orders of which many fail, at every step; the same for the same seed. */
export function makeOrders(count: number, seed: number): readonly Order[] {
  const random = randomNumbers(seed)
  const oneIn = (chance: number) => random() < 1 / chance
  return Array.from({ length: count }, (_, index) => ({
    orderId: `o-${index + 1}`,
    sku: oneIn(5) ? 'out-of-print' : 'book',
    quantity: 1 + Math.floor(random() * 3),
    cents: 500 + Math.floor(random() * 5000),
    card: oneIn(4) ? 'declined' : 'good',
    address: oneIn(4) ? 'nowhere' : 'Main Street 1',
  }))
}
