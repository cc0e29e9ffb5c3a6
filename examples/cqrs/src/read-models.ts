/** Two read models of the same events: what each account holds, and what the bank turns over. */
import { defineProjection, type Transaction, when } from '@waybill/database'
import { AccountOpened, MoneyDeposited, MoneyWithdrawn } from './events.ts'

export async function makeReadModels(transaction: Transaction): Promise<void> {
  await transaction.query(
    'CREATE TABLE balances (account text PRIMARY KEY, owner text NOT NULL, cents integer NOT NULL)',
  )
  await transaction.query(
    'CREATE TABLE turnover (kind text PRIMARY KEY, movements integer NOT NULL, cents integer NOT NULL)',
  )
}

function move(transaction: Transaction, account: string, cents: number) {
  return transaction.query('UPDATE balances SET cents = cents + $2 WHERE account = $1', [account, cents])
}

export const balances = defineProjection('balances', {
  handlers: [
    when(AccountOpened, ({ data: { account, owner } }, transaction) =>
      transaction.query('INSERT INTO balances (account, owner, cents) VALUES ($1, $2, 0)', [account, owner]),
    ),
    when(MoneyDeposited, ({ data: { account, cents } }, transaction) => move(transaction, account, cents)),
    when(MoneyWithdrawn, ({ data: { account, cents } }, transaction) => move(transaction, account, -cents)),
  ],
  reset: (transaction) => transaction.query('DELETE FROM balances'),
})

function count(transaction: Transaction, kind: string, cents: number) {
  return transaction.query(
    `INSERT INTO turnover AS known (kind, movements, cents) VALUES ($1, 1, $2) ON CONFLICT (kind)
DO UPDATE SET movements = known.movements + 1, cents = known.cents + excluded.cents`,
    [kind, cents],
  )
}

export const turnover = defineProjection('turnover', {
  handlers: [
    when(MoneyDeposited, ({ data: { cents } }, transaction) => count(transaction, 'deposited', cents)),
    when(MoneyWithdrawn, ({ data: { cents } }, transaction) => count(transaction, 'withdrawn', cents)),
  ],
  reset: (transaction) => transaction.query('DELETE FROM turnover'),
})

export interface Balance {
  readonly account: string
  readonly owner: string
  readonly cents: number
}

export async function readBalances(transaction: Transaction): Promise<readonly Balance[]> {
  return await transaction.query<Balance>('SELECT account, owner, cents FROM balances ORDER BY account')
}

export interface Turnover {
  readonly kind: string
  readonly movements: number
  readonly cents: number
}

export async function readTurnover(transaction: Transaction): Promise<readonly Turnover[]> {
  return await transaction.query<Turnover>('SELECT kind, movements, cents FROM turnover ORDER BY kind')
}
