import type { Dialect } from '@waybill/database'
import { explainSqliteError, lacksColumn } from './errors.ts'

const now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"

/** There are no schemas and no locks of rows: one transaction writes at a time. */
export function sqliteDialect(prefix: string): Dialect {
  return {
    name: 'sqlite',
    types: { moment: 'integer', bytes: 'blob', position: 'integer PRIMARY KEY AUTOINCREMENT' },
    now,
    after: (milliseconds) => `(${now} + CAST(${milliseconds} AS INTEGER))`,
    epochMs: (moment) => moment,
    fromEpochMs: (milliseconds) => milliseconds,
    fromHex: (text) => `unhex(${text})`,
    rows: (first, columns) =>
      rows(
        first,
        columns.map(({ name }) => name),
      ),
    rowParameters,
    manyRows: rows,
    manyRowParameters: rowParameters,
    keyLocks: () => undefined,
    keyLock: () => undefined,
    isIn: (value, parameter) => `${value} IN (SELECT value FROM json_each(${parameter}))`,
    forEach: (numbers, query) => {
      const queries = numbers.map((number) => `SELECT * FROM (${query(String(number))}) AS of_${number}`)
      return `(${queries.join('\nUNION ALL ')}) AS found`
    },
    transactions: { type: 'integer', current: '0', oldestRunning: '1', next: '1' },
    readCommitted: undefined,
    locking: '',
    lockingFree: '',
    table: (name) => `"${prefix}${name}"`,
    index: (name) => `"${prefix}${name}"`,
    preparations: [],
    migrationLock: [],
    place: `set of tables "${prefix}…"`,
    namespace: prefix,
    notify: undefined,
    explain: explainSqliteError,
    lacksColumn,
  }
}

function rows(first: number, names: readonly string[]): string {
  const values = names.map((name, index) => `json_extract(value, '$[${index}]') AS "${name}"`)
  return `(SELECT key AS n, ${values.join(', ')} FROM json_each($${first})) AS incoming`
}

function rowParameters(values: readonly (readonly unknown[])[]): readonly unknown[] {
  return [values[0]?.map((_, row) => values.map((column) => column[row])) ?? []]
}
