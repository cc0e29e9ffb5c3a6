import { MessagingError, toError } from '@waybill/core/driver'
import type { Dialect } from '../dialect.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { MigrationStep } from './migration.ts'
import { preparations, statementsOf } from './plain-sql.ts'
import { schemaVersion } from './schema-version.ts'
import { currentVersion, steps } from './steps.ts'

/** Applies the steps that are missing, all or none, while others that do the same wait. Resolves with their names. */
export async function migrate(dialect: Dialect, database: Queries): Promise<readonly string[]> {
  if (await isCurrent(dialect, database)) return []
  return await database.transaction(async (transaction) => {
    for (const statement of [...dialect.migrationLock, ...preparations(dialect)])
      await transaction.query(statement)
    const version = await schemaVersion(dialect, transaction)
    const missing = steps.slice(version)
    for (const step of missing) await apply(dialect, transaction, step)
    return missing.map(({ name }) => name)
  })
}

/** What fails for no known reason is most likely a name that is taken. */
async function apply(dialect: Dialect, transaction: Transaction, step: MigrationStep): Promise<void> {
  try {
    for (const statement of statementsOf(dialect, step)) await transaction.query(statement)
  } catch (error) {
    if (MessagingError.is(error)) throw error
    const what = `Step "${step.name}" could not be applied to the ${dialect.place}, and nothing was`
    const next = "If a table of that name is not Waybill's, use another schema or prefix"
    throw new MessagingError('topology-mismatch', `${what}: ${toError(error).message}. ${next}`, {
      cause: error,
    })
  }
}

/** Looked at first, because a process whose role may make nothing calls it too. */
async function isCurrent(dialect: Dialect, database: Queries): Promise<boolean> {
  try {
    return (await schemaVersion(dialect, database)) >= currentVersion
  } catch (error) {
    if (MessagingError.is(error) && error.code === 'topology-missing') return false
    throw error
  }
}
