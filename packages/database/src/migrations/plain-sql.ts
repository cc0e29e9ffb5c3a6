import type { Dialect } from '../dialect.ts'
import type { Migration, MigrationStep } from './migration.ts'
import { steps } from './steps.ts'

/** What makes the record of applied steps, before the first of them. Does nothing if it is there. */
export function preparations({ preparations, table, types, now }: Dialect): readonly string[] {
  return [
    ...preparations,
    `CREATE TABLE IF NOT EXISTS ${table('migrations')} (
  version integer PRIMARY KEY,
  name text NOT NULL,
  works_from integer NOT NULL,
  applied_at ${types.moment} NOT NULL DEFAULT (${now})
)`,
  ]
}

/** The statements of one step, and of its record. Names and numbers are our own and need no quoting. */
export function statementsOf(dialect: Dialect, step: MigrationStep): readonly string[] {
  const { version, name, worksFrom } = step
  return [
    ...step.statements(dialect),
    `INSERT INTO ${dialect.table('migrations')} (version, name, works_from) VALUES (${version}, '${name}', ${worksFrom})`,
  ]
}

export function plainMigrations(dialect: Dialect): readonly Migration[] {
  return steps.map((step) => {
    const statements = [...(step.version === 1 ? preparations(dialect) : []), ...statementsOf(dialect, step)]
    return {
      version: step.version,
      name: step.name,
      sql: statements.map((statement) => `${statement};\n`).join('\n'),
    }
  })
}
