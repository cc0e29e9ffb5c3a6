import type { Till } from './checkout.ts'
import { formatCount } from './format.ts'
import type { Ledger } from './ledger.ts'

const isLive = process.stdout.isTTY === true

/** Shows how the shop is doing until it is disposed of: one line that changes on a terminal, elsewhere one a second. */
export function showProgress(till: Till, ledger: Ledger): Disposable {
  let shown = ''
  const show = () => {
    const line = describe(till, ledger)
    if (line === shown) return
    shown = line
    if (isLive) process.stdout.write(`\r\x1b[2K${line.slice(0, (process.stdout.columns || 80) - 1)}`)
    else console.log(line)
  }
  const timer = setInterval(show, isLive ? 100 : 1000)
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      show()
      if (isLive) process.stdout.write('\n')
    },
  }
}

function describe(till: Till, ledger: Ledger): string {
  const groups = [...new Set(ledger.accounts.map(({ group }) => group))]
  const parts = [
    `${formatCount(till.waits.length)} answered`,
    ...groups.map((group) => `${group} ${formatCount(ledger.count('handled', group))}`),
    `retries ${formatCount(ledger.retries)}`,
    `duplicates ${formatCount(ledger.count('duplicate'))}`,
    `dead letters ${formatCount(ledger.count('dead'))}`,
  ]
  return `  ${parts.join(' · ')}`
}
