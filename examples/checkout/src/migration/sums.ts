import type { Moved } from './move.ts'

/** What does not add up after the move, in words; empty when all does. */
export function problemsOf({ customers: { accepted }, effects, dead }: Moved): readonly string[] {
  const payments = effects.flatMap((each) => each.payments)
  const charged = new Map(payments)
  const emails = effects.flatMap((each) => each.emails)
  const count = (kind: 'confirmation' | 'receipt') => emails.filter((email) => email.kind === kind).length
  const setAside = effects.flatMap(({ shelf }) => shelf).reduce((sum, [, units]) => sum + units, 0)
  const ordered = [...accepted.values()].flatMap(({ items }) => items)
  const units = ordered.reduce((sum, { quantity }) => sum + quantity, 0)
  const lost = [...accepted.keys()].filter((id) => !charged.has(id) && !dead.has(id))
  const sums = [
    ['orders that were neither charged nor given up', lost.length, 0],
    ['cards charged twice', payments.length - charged.size, 0],
    ['charges for no order', [...charged.keys()].filter((id) => !accepted.has(id)).length, 0],
    ['confirmations', count('confirmation'), accepted.size],
    ['receipts', count('receipt'), charged.size],
    ['units set aside', setAside, units],
  ] as const
  return sums.flatMap(([what, is, shouldBe]) => (is === shouldBe ? [] : [`${what}: ${is}, not ${shouldBe}`]))
}
