import type { DeadLetter } from '@waybill/core'
import { type Books, type Check, revenue } from './audit.ts'
import type { Till } from './checkout.ts'
import { formatCount, formatMoney, formatTable } from './format.ts'

function list(lines: readonly string[], most: number): string {
  const rest = lines.length - most
  return [...lines.slice(0, most), ...(rest > 0 ? [`  … and ${formatCount(rest)} more`] : [])].join('\n')
}

export function describeTill({ read, refused, waits }: Till): string {
  const sorted = waits.toSorted((left, right) => left - right)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  return [
    `The checkout answered ${formatCount(read)} requests, half of them within ${median.toFixed(1)} ms.`,
    `${formatCount(refused.length)} were no orders:`,
    list(
      refused.map(({ line, why }) => `  line ${line}: ${why}`),
      40,
    ),
  ].join('\n')
}

/** Some of them one by one, all of them by cause. */
export function describeLetters(letters: readonly DeadLetter[]): string {
  const causes = new Map<string, number>()
  const rows = letters.map(({ message, reason, attempts, error }) => {
    const cause = `${reason}: ${error?.message ?? 'no error'}`
    causes.set(cause, (causes.get(cause) ?? 0) + 1)
    return [message?.id ?? '(undecodable)', `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`, cause]
  })
  const counts = [...causes].map(([cause, count]) => [cause, formatCount(count)])
  return `${list(formatTable(rows, 3).split('\n'), 10)}\n\n${formatTable([...counts, ['all', formatCount(letters.length)]])}`
}

/** What became of the requests, of the messages in each group, and of the money. */
export function describeBooks(books: Books): string {
  const { till, ledger, bank, unpaid } = books
  const requests = [
    ['requests read', till.read],
    ['malformed, refused', till.refused.length],
    ['duplicates, skipped', till.repeated],
    ['orders charged', bank.payments.size],
    ['orders unpaid, in the dead letters', unpaid.size],
  ] as const
  const messages = ledger.accounts.map((account) => [
    account.name,
    ...[account.sent.size, account.count('handled'), account.count('duplicate'), account.count('dead')].map(
      formatCount,
    ),
  ])
  const money = [...revenue(books)].map(([currency, { ordered, charged, unpaid: open }]) => [
    currency,
    ...[ordered, charged, open].map((amount) => formatMoney(amount, currency)),
  ])
  return [
    formatTable(requests.map(([what, count]) => [what, formatCount(count)])),
    formatTable([['messages', 'sent', 'handled', 'duplicates', 'dead letters'], ...messages]),
    formatTable([['money', 'ordered', 'charged', 'unpaid'], ...money]),
  ].join('\n\n')
}

export function describeChecks(checks: readonly Check[]): string {
  return checks.map(({ text, addsUp }) => `  ${addsUp ? '✓' : '✗ DOES NOT ADD UP:'} ${text}`).join('\n')
}
