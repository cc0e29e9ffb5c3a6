import type { Bank } from './bank.ts'
import type { Till } from './checkout.ts'
import { formatCount, formatMoney } from './format.ts'
import type { Ledger } from './ledger.ts'
import type { Email } from './mail.ts'
import type { Order } from './messages.ts'
import type { Shelf } from './stock.ts'

/** Everything the shop wrote down. */
export interface Books {
  readonly till: Till
  readonly ledger: Ledger
  readonly bank: Bank
  readonly shelf: Shelf
  readonly outbox: readonly Email[]
  /** The orders in billing's dead letters that no card was charged for, by id. */
  readonly unpaid: ReadonlySet<string>
}

/** A sum that has to add up. */
export interface Check {
  readonly text: string
  readonly addsUp: boolean
}

/** Money by currency: what was ordered, charged and left unpaid. */
export function revenue({ till, bank, unpaid }: Books) {
  const sums = new Map<Order['currency'], { ordered: number; charged: number; unpaid: number }>()
  for (const { orderId, currency, total } of till.accepted.values()) {
    const sum = sums.get(currency) ?? { ordered: 0, charged: 0, unpaid: 0 }
    sums.set(currency, sum)
    sum.ordered += total
    sum.charged += bank.payments.get(orderId)?.amount ?? 0
    if (unpaid.has(orderId)) sum.unpaid += total
  }
  return sums
}

/** Holds what the till took against what each part of the shop did. */
export function audit(books: Books): readonly Check[] {
  const { till, ledger, bank, shelf, outbox, unpaid } = books
  const accepted = till.accepted.size
  const emails = (kind: Email['kind']) => outbox.filter((email) => email.kind === kind).length
  const ordered = [...till.accepted.values()].flatMap(({ items }) => items)
  return [
    check(till.read, 'requests read', {
      malformed: till.refused.length,
      duplicates: till.repeated,
      'orders accepted': accepted,
    }),
    check(accepted, 'orders accepted', { charged: bank.payments.size, unpaid: unpaid.size }),
    ...ledger.accounts.map((account) =>
      check(account.sent.size, `messages of ${account.name}`, {
        handled: account.count('handled'),
        'duplicates skipped': account.count('duplicate'),
        dead: account.count('dead'),
      }),
    ),
    check(emails('confirmation'), 'confirmations mailed', { 'orders accepted': accepted }),
    check(emails('receipt'), 'receipts mailed', { 'orders charged': bank.payments.size }),
    check(total([...shelf.values()]), 'units set aside', {
      'units ordered': total(ordered.map(({ quantity }) => quantity)),
    }),
    ...[...revenue(books)].map(([currency, { ordered, charged, unpaid }]) =>
      check(ordered, 'ordered', { charged, unpaid }, (amount) => formatMoney(amount, currency)),
    ),
  ]
}

function check(
  whole: number,
  what: string,
  parts: Readonly<Record<string, number>>,
  format = formatCount,
): Check {
  const listed = Object.entries(parts).map(([part, value]) => `${format(value)} ${part}`)
  return {
    text: `${format(whole)} ${what} = ${listed.join(' + ')}`,
    addsUp: whole === total(Object.values(parts)),
  }
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
