import { randomNumbers } from '@waybill/example-workers'
import type { Payment } from './messages.ts'

/** Payments of which some are declined, and some are not answered at first; the same for the same seed. */
export function makePayments(count: number, seed: number): readonly Payment[] {
  const random = randomNumbers(seed)
  return Array.from({ length: count }, (_, index) => {
    const luck = random()
    return {
      paymentId: `p-${index + 1}`,
      customer: `c-${Math.floor(random() * 10)}`,
      cents: 1 + Math.floor(random() * 10_000),
      card: luck < 0.1 ? 'declined' : luck < 0.3 ? 'slow' : 'good',
    }
  })
}
