import { MessagingError } from '@waybill/core/driver'
import type { Dialect } from './dialect.ts'
import { GuardedTransaction } from './guarded-transaction.ts'
import type { Transaction } from './transaction.ts'

/** One connection of a database, while nobody else uses it. */
export interface Session {
  run(sql: string, parameters: readonly unknown[]): Promise<readonly unknown[]>
  readonly begin: string
  /** Called when ROLLBACK failed: the transaction may still be open, and must not become that of whoever comes next. */
  spoiled(): void
}

/**
 * Runs `work` between BEGIN and COMMIT, or ROLLBACK when anything fails.
 */
export async function runTransaction<Result>(
  dialect: Dialect,
  { run, begin, spoiled }: Session,
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> {
  let isCommitting = false
  try {
    await run(begin, [])
    const result = await runWork(dialect, run, work)
    isCommitting = true
    await run('COMMIT', [])
    return result
  } catch (error) {
    // The first error counts.
    await run('ROLLBACK', []).catch(spoiled)
    const known = dialect.explain(error)
    throw known === undefined || !isCommitting ? (known ?? error) : ofCommit(known)
  }
}

/** A COMMIT without an answer may have been done. */
function ofCommit(error: MessagingError): MessagingError {
  if (error.code !== 'disconnected' && error.code !== 'timeout') return error
  const what = `COMMIT got no answer, so the transaction was done or not, as a whole: ${error.message}`
  return new MessagingError(error.code, what, { retryable: true, fate: 'unknown', cause: error.cause })
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
    await transaction.idle()
    // Fails in a transaction that can no longer commit.
    if (transaction.hasFailed) await run('SELECT 1', [])
    return result
  } finally {
    transaction.end()
  }
}
