import type { MigrationStep } from './migration.ts'

/** As many as relays can share the work at most. */
export const slotCount = 64

/** Messages that wait for a relay or were set aside, the slots they are in, and the relays that are running. */
export const outbox: MigrationStep = {
  version: 2,
  name: 'outbox',
  worksFrom: 1,
  statements: ({ types, table, index, now }) => [
    // The state is 'waiting' or 'parked'. A CHECK of that took a thirtieth of the time of every batch.
    `CREATE TABLE ${table('outbox')} (
  position ${types.position},
  slot smallint NOT NULL,
  state text NOT NULL DEFAULT 'waiting',
  topic text NOT NULL,
  type text NOT NULL,
  version integer NOT NULL,
  id text NOT NULL,
  key text,
  source text NOT NULL,
  data text,
  data_bytes ${types.bytes},
  options text,
  topic_options text,
  sent_at ${types.moment} NOT NULL,
  stored_at ${types.moment} NOT NULL DEFAULT (${now}),
  due_at ${types.moment},
  expires_at ${types.moment},
  tries integer NOT NULL DEFAULT 0,
  error text
)`,
    `CREATE INDEX ${index('outbox_waiting')} ON ${table('outbox')} (slot, position) WHERE state = 'waiting'`,
    `CREATE INDEX ${index('outbox_parked')} ON ${table('outbox')} (position) WHERE state = 'parked'`,
    `CREATE TABLE ${table('slots')} (
  slot smallint PRIMARY KEY,
  owner text,
  expires_at ${types.moment} NOT NULL DEFAULT (${now})
)`,
    `INSERT INTO ${table('slots')} (slot) VALUES ${Array.from({ length: slotCount }, (_, slot) => `(${slot})`).join(', ')}`,
    `CREATE TABLE ${table('relays')} (
  relay text PRIMARY KEY,
  expires_at ${types.moment} NOT NULL
)`,
  ],
}
