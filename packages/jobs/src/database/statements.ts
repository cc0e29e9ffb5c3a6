import type { Dialect } from '@waybill/database'
import type { ScheduleRow } from '../schedule.ts'
import type { JobKey, JobRow } from '../store.ts'
import {
  type ChangedField,
  type Column,
  columnNames,
  columns,
  columnsWithoutData,
  type Incoming,
} from './row-columns.ts'

/** The statements of a job store, written once for a database. */
export function statementsOf(dialect: Dialect) {
  const { table, isIn, locking, lockingFree, forEach } = dialect
  const jobs = table('jobs')
  const keys = table('job_keys')
  const schedules = table('job_schedules')
  const updateOf = (changed: readonly Column[], { table: from, expression }: Incoming<ChangedField>) => {
    const set = changed.map(({ column, field }) => `${column} = ${expression(field)}`).join(', ')
    return `UPDATE ${jobs} AS job SET ${set} FROM ${from} WHERE job.id = ${expression('job')}`
  }
  // A parent that has not ended is still to get the results of its children, or waits for one of them to be retried.
  const isUnawaited = `NOT EXISTS (SELECT 1 FROM ${jobs} AS parent WHERE parent.id = job.parent AND parent.state NOT IN ('completed', 'failed', 'cancelled'))`
  const priorities = Array.from({ length: 10 }, (_, index) => 9 - index)
  // Each priority is a range of the index; ordered by priority and time at once, what is not due would be looked at too.
  const due = (named: string) => {
    const ofPriority = (priority: string) =>
      `SELECT id AS due_id FROM ${jobs} WHERE queue = $1 AND is_sent = $2 AND state = 'waiting' AND priority = ${priority} AND send_at <= $3 ${named} ORDER BY send_at, ordinal LIMIT $4 ${lockingFree}`
    return `${forEach(priorities, ofPriority)} LIMIT $4`
  }
  const isNamed = (parameter: string) => `AND ${isIn('name', parameter, 'text')}`
  const beginDue = `WITH due AS MATERIALIZED (SELECT due_id FROM ${due(isNamed('$7'))})
UPDATE ${jobs} AS job SET state = 'active', owner = $5, lease_until = $6, attempt = job.attempt + 1, started_at = $3, updated_at = $3, version = job.version + 1
FROM due WHERE job.id = due_id RETURNING ${columnNames}`
  return {
    find: `SELECT ${columnNames} FROM ${jobs} WHERE ${isIn('id', '$1', 'text')}`,
    // In one order, so that two transactions never wait for each other.
    lock: `SELECT ${columnNames} FROM ${jobs} WHERE ${isIn('id', '$1', 'text')} ORDER BY id ${locking}`,
    lockWithoutData: `SELECT ${columnsWithoutData} FROM ${jobs} WHERE ${isIn('id', '$1', 'text')} ORDER BY id ${locking}`,
    insert: ({ table: from, expression }: Incoming<keyof JobRow>) =>
      `INSERT INTO ${jobs} (${columnNames})
SELECT ${columns.map(({ field }) => expression(field)).join(', ')} FROM ${from} WHERE true
ON CONFLICT (id) DO NOTHING RETURNING id`,
    update: (changed: readonly Column[], incoming: Incoming<ChangedField>) => updateOf(changed, incoming),
    /** Of those that nobody has changed since. */
    replace: (changed: readonly Column[], incoming: Incoming<ChangedField>) =>
      `${updateOf(changed, incoming)} AND job.version = ${incoming.expression('version')} - 1 RETURNING id`,
    toSend: `SELECT due_id AS id FROM ${due('')}`,
    toSendNamed: `SELECT due_id AS id FROM ${due(isNamed('$5'))}`,
    beginDue,
    leaseEnded: `SELECT id FROM ${jobs} WHERE state = 'active' AND lease_until <= $1 ORDER BY lease_until LIMIT $2 ${lockingFree}`,
    counts: `SELECT CASE WHEN state = 'waiting' AND due_at > $1 THEN 'delayed' ELSE state END AS shown, count(*) AS number FROM ${jobs}`,
    sentCount: `SELECT count(*) AS number FROM ${jobs} WHERE queue = $1 AND is_sent = 1 AND state = 'waiting'`,
    running: `SELECT (SELECT count(*) FROM ${jobs} WHERE queue = $1 AND is_sent = 1 AND state = 'waiting')
+ (SELECT count(*) FROM ${jobs} WHERE queue = $1 AND state = 'active') AS number`,
    nextSendAt: (incoming: string) => {
      const next = (sent: 0 | 1) => (priority: string) =>
        `SELECT send_at FROM ${jobs} WHERE queue = incoming."queue" AND is_sent = ${sent} AND state = 'waiting' AND priority = ${priority} ORDER BY send_at LIMIT 1`
      const both = ([0, 1] as const).map((sent) => `SELECT send_at FROM ${forEach(priorities, next(sent))}`)
      return `SELECT incoming."queue" AS queue, (SELECT min(send_at) FROM (${both.join('\nUNION ALL ')}) AS next) AS next_at FROM ${incoming}`
    },
    // In the order of ids, as everybody locks: outcomes of the same jobs are being stored at that moment.
    renew: `UPDATE ${jobs} SET lease_until = $3 WHERE id IN (SELECT id FROM ${jobs} WHERE ${isIn('id', '$1', 'text')} AND owner = $2 AND state = 'active' ORDER BY id ${locking}) RETURNING id`,
    owned: `SELECT id FROM ${jobs} WHERE ${isIn('id', '$1', 'text')} AND owner = $2 AND state = 'active'`,
    removeExpired: `WITH expired AS MATERIALIZED (SELECT id FROM ${jobs} AS job WHERE remove_at <= $1 AND ${isUnawaited} ORDER BY remove_at LIMIT $2 ${lockingFree})
DELETE FROM ${jobs} WHERE id IN (SELECT id FROM expired) RETURNING 1 AS one`,
    removeBeyond: `DELETE FROM ${jobs} WHERE id IN (SELECT id FROM ${jobs} AS job WHERE name = $1 AND state = $2 AND ${isUnawaited} ORDER BY finished_at DESC LIMIT $4 OFFSET $3) RETURNING 1 AS one`,
    // A job that has not ended keeps its key until it has.
    removeKeys: `DELETE FROM ${keys} WHERE until_at <= $1 AND NOT EXISTS
(SELECT 1 FROM ${jobs} AS job WHERE job.id = ${keys}.job AND job.state NOT IN ('completed', 'failed', 'cancelled'))`,
    keys: `SELECT key, job, until_at FROM ${keys} WHERE ${isIn('key', '$1', 'text')}`,
    putKeys: ({ table: from, expression }: Incoming<keyof JobKey>) =>
      `INSERT INTO ${keys} (key, job, until_at) SELECT ${expression('key')}, ${expression('job')}, ${expression('until')} FROM ${from} WHERE true
ON CONFLICT (key) DO UPDATE SET job = excluded.job, until_at = excluded.until_at`,
    releaseKeys: `DELETE FROM ${keys} WHERE ${isIn('job', '$1', 'text')} AND (until_at IS NULL OR until_at <= $2)`,
    children: `SELECT id FROM ${jobs} WHERE ${isIn('parent', '$1', 'text')}`,
    lockSchedules: `SELECT id, next_at, details FROM ${schedules} WHERE ${isIn('id', '$1', 'text')} ORDER BY id ${locking}`,
    dueSchedules: `SELECT id FROM ${schedules} WHERE next_at <= $1 ORDER BY next_at LIMIT $2 ${lockingFree}`,
    putSchedules: ({ table: from, expression }: Incoming<keyof ScheduleRow>) =>
      `INSERT INTO ${schedules} (id, next_at, details) SELECT ${expression('id')}, ${expression('nextAt')}, ${expression('details')} FROM ${from} WHERE true
ON CONFLICT (id) DO UPDATE SET next_at = excluded.next_at, details = excluded.details`,
    removeSchedules: `DELETE FROM ${schedules} WHERE ${isIn('id', '$1', 'text')}`,
    schedules: `SELECT id, next_at, details FROM ${schedules} WHERE id > $1 ORDER BY id LIMIT $2`,
    nextSweepAt: `SELECT * FROM (SELECT next_at FROM ${schedules} WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1) AS run
UNION ALL SELECT * FROM (SELECT lease_until AS next_at FROM ${jobs} WHERE state = 'active' ORDER BY lease_until LIMIT 1) AS lease`,
    keyLocks: dialect.keyLocks('$1'),
    notify: dialect.notify === undefined ? undefined : `SELECT ${dialect.notify}`,
    list: `SELECT ${columnNames} FROM ${jobs}`,
  }
}

export type Statements = ReturnType<typeof statementsOf>
