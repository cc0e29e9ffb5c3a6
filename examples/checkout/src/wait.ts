import { setTimeout as sleep } from 'node:timers/promises'
import type { Ledger } from './ledger.ts'

const pollMs = 50
const patienceMs = 60_000

/** Waits until every message that was sent has ended in every group. Rejects when nothing happens for a minute. */
export async function untilAllEnded(ledger: Ledger): Promise<void> {
  let { activity } = ledger
  let activeAt = performance.now()
  while (ledger.open > 0) {
    if (performance.now() - activeAt > patienceMs)
      throw new Error(`Nothing has happened for a minute: ${stuck(ledger)}`)
    await sleep(pollMs)
    if (ledger.activity === activity) continue
    activity = ledger.activity
    activeAt = performance.now()
  }
}

function stuck({ accounts }: Ledger): string {
  return accounts
    .filter(({ open }) => open > 0)
    .map(({ name, open }) => `${open} messages of ${name} have not ended`)
    .join(', ')
}
