import type { MigrationStep } from './migration.ts'

/** Events in their streams, the epochs of their positions, and how far each projection has come. */
export const eventStore: MigrationStep = {
  version: 4,
  name: 'event-store',
  worksFrom: 1,
  statements: ({ types, table, index, now, transactions }) => [
    `CREATE TABLE ${table('event_streams')} (
  stream text PRIMARY KEY,
  version integer NOT NULL,
  transaction_id ${transactions.type} NOT NULL
)`,
    `CREATE TABLE ${table('event_epochs')} (
  epoch integer PRIMARY KEY,
  began_at ${types.moment} NOT NULL DEFAULT (${now})
)`,
    `INSERT INTO ${table('event_epochs')} (epoch) VALUES (1)`,
    `CREATE TABLE ${table('events')} (
  position ${types.position},
  transaction_id ${transactions.type} NOT NULL,
  epoch integer NOT NULL,
  stream text NOT NULL,
  stream_version integer NOT NULL,
  id text NOT NULL,
  type text NOT NULL,
  version integer NOT NULL,
  data text NOT NULL,
  metadata text NOT NULL,
  recorded_at ${types.moment} NOT NULL DEFAULT (${now})
)`,
    `CREATE UNIQUE INDEX ${index('events_of_stream')} ON ${table('events')} (stream, stream_version)`,
    `CREATE INDEX ${index('events_in_order')} ON ${table('events')} (epoch, transaction_id, position)`,
    `CREATE TABLE ${table('projections')} (
  projection text PRIMARY KEY,
  epoch integer NOT NULL,
  transaction_id ${transactions.type} NOT NULL,
  position bigint NOT NULL,
  updated_at ${types.moment} NOT NULL DEFAULT (${now})
)`,
  ],
}
