import type { MigrationStep } from './migration.ts'

/** Sagas as they are, and what happened to each. */
export const sagas: MigrationStep = {
  version: 3,
  name: 'sagas',
  worksFrom: 1,
  statements: ({ types, table, index, now }) => [
    `CREATE TABLE ${table('sagas')} (
  saga text NOT NULL,
  id text NOT NULL,
  status text NOT NULL CHECK (status IN ('running', 'compensating', 'completed', 'compensated')),
  step text,
  data text NOT NULL,
  progress text NOT NULL,
  reason text,
  version integer NOT NULL,
  started_at ${types.moment} NOT NULL DEFAULT (${now}),
  updated_at ${types.moment} NOT NULL DEFAULT (${now}),
  PRIMARY KEY (saga, id)
)`,
    `CREATE INDEX ${index('sagas_status')} ON ${table('sagas')} (saga, status, updated_at)`,
    `CREATE TABLE ${table('saga_events')} (
  position ${types.position},
  saga text NOT NULL,
  id text NOT NULL,
  at ${types.moment} NOT NULL DEFAULT (${now}),
  kind text NOT NULL,
  step text,
  detail text,
  message_type text NOT NULL,
  message_id text NOT NULL
)`,
    `CREATE INDEX ${index('saga_events_of')} ON ${table('saga_events')} (saga, id, position)`,
  ],
}
