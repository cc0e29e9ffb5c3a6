import type { Dialect } from './dialect.ts'
import { GuardedTransaction } from './guarded-transaction.ts'
import type { Transaction } from './transaction.ts'

/** One connection of a database, while nobody else uses it. */
export interface Session {
  run(sql: string, parameters: readonly unknown[]): Promise<readonly unknown[]>
  readonly begin: string
}

/**
 * Runs `work` between BEGIN and COMMIT, or ROLLBACK when anything fails.
 */
export async function runTransaction<Result>(
  dialect: Dialect,
  { run, begin }: Session,
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> {
  try {
    await run(begin, [])
    const result = await runWork(dialect, run, work)
    await run('COMMIT', [])
    return result
  } catch (error) {
    // The first error counts; a connection that cannot roll back is gone, and the transaction with it.
    await run('ROLLBACK', []).catch(() => {})
    throw dialect.explain(error) ?? error
  }
}

/**
 * Runs `work` where a transaction has begun. A statement that failed fails the transaction, even if `work` has caught its
 * error: PostgreSQL would answer COMMIT by rolling back, without an error.
 */
export async function runWork<Result>(
  dialect: Dialect,
  run: Session['run'],
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> {
  const transaction = new GuardedTransaction(dialect, run)
  try {
    const result = await work(transaction)
    // Fails in a transaction that can no longer commit.
    if (transaction.hasFailed) await run('SELECT 1', [])
    return result
  } finally {
    transaction.end()
  }
}
