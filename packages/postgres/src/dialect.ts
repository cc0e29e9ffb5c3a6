import { createHash } from 'node:crypto'
import type { Dialect } from '@waybill/database'
import { explainPostgresError, lacksColumn } from './errors.ts'
import { textRowParameters, textRows } from './text-rows.ts'

// "WAYB": keeps the lock of migrations apart from an application's own advisory locks.
const migrationLock = 0x57415942

export function postgresDialect(schema: string, prefix: string): Dialect {
  const now = 'clock_timestamp()'
  return {
    name: 'postgres',
    types: {
      moment: 'timestamptz',
      bytes: 'bytea',
      position: 'bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
    },
    now,
    after: (milliseconds) => `(${now} + ${milliseconds}::double precision * interval '1 millisecond')`,
    epochMs: (moment) => `(extract(epoch FROM ${moment}) * 1000)::double precision`,
    fromEpochMs: (milliseconds) => `to_timestamp(${milliseconds}::double precision / 1000)`,
    fromHex: (text) => `decode(${text}, 'hex')`,
    rows: (first, columns) => {
      const arrays = columns.map(({ type }, index) => `$${first + index}::${type}[]`)
      const names = columns.map(({ name }) => `"${name}"`)
      return `unnest(${arrays.join(', ')}) WITH ORDINALITY AS incoming(${names.join(', ')}, n)`
    },
    rowParameters: (values) => values,
    manyRows: textRows,
    manyRowParameters: textRowParameters,
    keyLocks: (parameter) => `SELECT pg_advisory_xact_lock(key) FROM unnest(${parameter}::bigint[]) AS key`,
    keyLock: (parameter) => `pg_advisory_xact_lock(${parameter}::bigint)`,
    isIn: (value, parameter, type) => `${value} = ANY(${parameter}::${type}[])`,
    // A query for each would be planned as many times.
    forEach: (numbers, query) =>
      `(VALUES ${numbers.map((number) => `(${number})`).join(', ')}) AS each(number) CROSS JOIN LATERAL (${query('each.number')}) AS found`,
    transactions: {
      type: 'xid8',
      current: 'pg_current_xact_id()',
      oldestRunning: 'pg_snapshot_xmin(pg_current_snapshot())',
      next: 'pg_snapshot_xmax(pg_current_snapshot())',
    },
    readCommitted: {
      isDefault: `current_setting('default_transaction_isolation') = 'read committed'`,
      set: 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    },
    locking: 'FOR UPDATE',
    lockingFree: 'FOR UPDATE SKIP LOCKED',
    table: (name) => `"${schema}"."${prefix}${name}"`,
    // An index is made in the schema of its table.
    index: (name) => `"${prefix}${name}"`,
    preparations: [`CREATE SCHEMA IF NOT EXISTS "${schema}"`],
    migrationLock: [`SELECT pg_advisory_xact_lock(${migrationLock}, hashtext('${schema}.${prefix}'))`],
    place: prefix === '' ? `schema "${schema}"` : `set of tables "${schema}"."${prefix}…"`,
    namespace: `${schema}.${prefix}`,
    notify: `pg_notify('${channelOf(schema, prefix)}', '')`,
    explain: explainPostgresError,
    lacksColumn,
  }
}

/** What is notified when something is in the outbox. A channel's name has 63 bytes at most, like any (PostgreSQL, "NOTIFY"). */
export function channelOf(schema: string, prefix: string): string {
  return `waybill_${createHash('sha256').update(`${schema}.${prefix}`).digest('hex').slice(0, 16)}`
}
