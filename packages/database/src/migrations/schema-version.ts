import { MessagingError, toMessagingError } from '@waybill/core/driver'
import type { Dialect } from '../dialect.ts'
import type { Transaction } from '../transaction.ts'
import { currentVersion, steps } from './steps.ts'

interface Applied {
  readonly version: number
  readonly name: string
  readonly lowest: number
}

/**
 * The version of the schema as it is in the database; 0 if nothing was applied.
 *
 * @throws {MessagingError} `topology-mismatch` when it is of a version that this code cannot use, or not ours.
 */
export async function schemaVersion(dialect: Dialect, transaction: Transaction): Promise<number> {
  const applied = await appliedSteps(dialect, transaction)
  for (const [index, { version, name }] of applied.entries()) {
    const known = steps[index]
    if (version !== index + 1 || (known !== undefined && known.name !== name)) {
      const what = `The ${dialect.place} holds migrations that are not Waybill's: step ${index + 1} is "${name}" of version ${version}`
      throw new MessagingError('topology-mismatch', `${what}. Use another schema or prefix`)
    }
  }
  const last = applied.at(-1)
  if (last === undefined) return 0
  const worksFrom = Math.max(...applied.map(({ lowest }) => lowest))
  if (worksFrom > currentVersion) {
    const what = `The ${dialect.place} is of version ${last.version}, which works with packages from version ${worksFrom} of the schema on; this one is of version ${currentVersion}`
    throw new MessagingError('topology-mismatch', `${what}. Update the package that opens the database`)
  }
  return last.version
}

async function appliedSteps(dialect: Dialect, transaction: Transaction): Promise<readonly Applied[]> {
  const table = dialect.table('migrations')
  try {
    return await transaction.query<Applied>(
      `SELECT version, name, works_from AS lowest FROM ${table} ORDER BY version`,
    )
  } catch (error) {
    const known = MessagingError.is(error) ? error : dialect.explain(error)
    if (known !== undefined) throw known
    // A connection that could not be made, for example, says nothing about the table.
    if (!dialect.lacksColumn(error)) throw toMessagingError(error, `Looking at the ${dialect.place}`)
    const what = `The ${dialect.place} has a table migrations that is not Waybill's`
    throw new MessagingError('topology-mismatch', `${what}. Use another schema or prefix`, { cause: error })
  }
}

/**
 * Refuses a schema that lacks steps.
 *
 * @throws {MessagingError} `topology-missing`, and as `schemaVersion`.
 */
export async function requireSchema(dialect: Dialect, transaction: Transaction): Promise<void> {
  const version = await schemaVersion(dialect, transaction)
  if (version >= currentVersion) return
  const what = `The ${dialect.place} is of version ${version}, and version ${currentVersion} is needed`
  throw new MessagingError(
    'topology-missing',
    `${what}. Run database.migrate(), or the SQL of database.migrations()`,
  )
}
