import type { MigrationStep } from './migration.ts'

/** Jobs of `@waybill/jobs`, the keys that keep them apart when they are added, and schedules. Moments are milliseconds since 1970. */
export const jobs: MigrationStep = {
  version: 5,
  name: 'jobs',
  worksFrom: 1,
  statements: ({ table, index }) => [
    `CREATE TABLE ${table('jobs')} (
  id text PRIMARY KEY,
  queue text NOT NULL,
  name text NOT NULL,
  state text NOT NULL CHECK (state IN ('waiting', 'active', 'completed', 'failed', 'cancelled', 'waiting-for-children')),
  priority integer NOT NULL,
  ordinal integer NOT NULL,
  run integer NOT NULL,
  version integer NOT NULL,
  attempt integer NOT NULL,
  started_at bigint,
  due_at bigint NOT NULL,
  send_at bigint NOT NULL,
  is_sent integer NOT NULL,
  owner text,
  lease_until bigint,
  parent text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  finished_at bigint,
  remove_at bigint,
  data text,
  output text,
  progress text,
  details text NOT NULL
)`,
    `CREATE INDEX ${index('jobs_to_send')} ON ${table('jobs')} (queue, is_sent, priority, send_at, ordinal) WHERE state = 'waiting'`,
    `CREATE INDEX ${index('jobs_leased')} ON ${table('jobs')} (lease_until) WHERE state = 'active'`,
    `CREATE INDEX ${index('jobs_by_state')} ON ${table('jobs')} (name, state, created_at, id)`,
    `CREATE INDEX ${index('jobs_changed')} ON ${table('jobs')} (name, updated_at)`,
    `CREATE INDEX ${index('jobs_to_remove')} ON ${table('jobs')} (remove_at) WHERE remove_at IS NOT NULL`,
    `CREATE INDEX ${index('jobs_children')} ON ${table('jobs')} (parent) WHERE parent IS NOT NULL`,
    `CREATE TABLE ${table('job_keys')} (
  key text PRIMARY KEY,
  job text NOT NULL,
  until_at bigint
)`,
    `CREATE INDEX ${index('job_keys_until')} ON ${table('job_keys')} (until_at) WHERE until_at IS NOT NULL`,
    `CREATE TABLE ${table('job_schedules')} (
  id text PRIMARY KEY,
  next_at bigint,
  details text NOT NULL
)`,
    `CREATE INDEX ${index('job_schedules_next')} ON ${table('job_schedules')} (next_at) WHERE next_at IS NOT NULL`,
  ],
}
