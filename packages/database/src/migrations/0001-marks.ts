import type { MigrationStep } from './migration.ts'

/**
 * The marks of the inbox and the idempotency store: one row an effect. The key is a digest, since sources have no bound and an
 * index's entries have; what it is of is kept beside it for people.
 */
export const marks: MigrationStep = {
  version: 1,
  name: 'marks',
  worksFrom: 1,
  statements: ({ types, table, index, now }) => [
    `CREATE TABLE ${table('marks')} (
  mark ${types.bytes} PRIMARY KEY,
  message_group text NOT NULL,
  topic text NOT NULL,
  type text NOT NULL,
  source text NOT NULL,
  id text NOT NULL,
  state text NOT NULL CHECK (state IN ('processing', 'done')),
  token text,
  result text,
  marked_at ${types.moment} NOT NULL DEFAULT (${now}),
  expires_at ${types.moment} NOT NULL
)`,
    `CREATE INDEX ${index('marks_expires_at')} ON ${table('marks')} (expires_at)`,
  ],
}
