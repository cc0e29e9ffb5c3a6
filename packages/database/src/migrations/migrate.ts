import { MessagingError } from '@waybill/core/driver'
import type { Dialect } from '../dialect.ts'
import type { Queries } from '../transaction.ts'
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
    for (const step of missing)
      for (const statement of statementsOf(dialect, step)) await transaction.query(statement)
    return missing.map(({ name }) => name)
  })
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
