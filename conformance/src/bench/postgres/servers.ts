import { type Database, postgres } from '@waybill/postgres'
import type { CaseContext } from '../../case/case-context.ts'
import type { RunningBroker } from '../brokers/index.ts'

export interface Servers {
  readonly postgres: RunningBroker
  /** URLs. */
  readonly rabbitmq: string
  readonly kafka: string
}

export interface OpenDatabase {
  readonly database: Database
  readonly schema: string
}

/** A database with tables in a schema of the case's own. */
export async function openDatabase(
  context: CaseContext,
  { postgres: { url } }: Servers,
): Promise<OpenDatabase> {
  const schema = context
    .unique('waybill')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '_')
  const database = postgres({ url, schema })
  context.defer(() => database.close())
  await database.migrate()
  return { database, schema }
}
