/** Another department, which knows of the accounts only what it is told by messages. */
import type { Bus } from '@waybill/core'
import type { Database, Transaction } from '@waybill/database'
import { MoneyDeposited, MoneyWithdrawn } from './events.ts'

export async function makeStatements(transaction: Transaction): Promise<void> {
  await transaction.query('CREATE TABLE statements (account text PRIMARY KEY, cents integer NOT NULL)')
}

export async function startStatements(bus: Bus, database: Database): Promise<void> {
  const inbox = database.inbox()
  await bus
    .consumer('statements', { concurrency: 8 })
    .on([MoneyDeposited, MoneyWithdrawn], async ({ type, data: { account, cents } }, context) => {
      await inbox.once(context, (transaction) =>
        transaction.query(
          `INSERT INTO statements AS known (account, cents) VALUES ($1, $2) ON CONFLICT (account)
DO UPDATE SET cents = known.cents + excluded.cents`,
          [account, type === 'money.deposited' ? cents : -cents],
        ),
      )
    })
    .start()
}

export async function readStatements(transaction: Transaction): Promise<ReadonlyMap<string, number>> {
  const rows = await transaction.query<{ readonly account: string; readonly cents: number }>(
    'SELECT account, cents FROM statements',
  )
  return new Map(rows.map(({ account, cents }) => [account, Number(cents)]))
}
