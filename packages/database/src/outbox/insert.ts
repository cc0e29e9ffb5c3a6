import type { Dialect } from '../dialect.ts'
import { columns, type NewRow, type Value } from './row.ts'

interface Statement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

/**
 * Where the values of a column are given: nowhere, as no row has any, which makes a shorter statement that is planned in less
 * time; in one parameter for all rows; or in one value a row.
 */
const absent = 0
const shared = 1
const own = 2
type Place = typeof absent | typeof shared | typeof own

const idColumn = columns.findIndex(({ name }) => name === 'id')

/** The statements that put messages into the outbox, prepared for one database. */
export class Inserts {
  readonly #dialect: Dialect
  readonly #locks: boolean
  readonly #texts = new Map<number, string>()

  constructor(dialect: Dialect) {
    this.#dialect = dialect
    this.#locks = dialect.keyLock('') !== undefined
  }

  /**
   * One statement for all rows. Before a position is drawn it takes the locks of their keys: inserts of a key wait for the
   * transaction that made the one before, so that positions are in the order of commits.
   */
  of(rows: readonly NewRow[]): Statement {
    const parameters: unknown[] = []
    const incoming: (readonly Value[])[] = []
    // Which places the columns have, as one number in base 3.
    let kind = 0
    for (let index = 0; index < columns.length; index += 1) {
      const place = placeOf(rows, index)
      kind = kind * 3 + place
      if (place === shared) parameters.push(valueAt(rows[0], index))
      else if (place === own) incoming.push(rows.map((row) => valueAt(row, index)))
    }
    if (incoming.length > 0) parameters.push(...this.#dialect.manyRowParameters(incoming))
    const locks = this.#locks ? locksOf(rows) : []
    const lockCount = Math.min(locks.length, 2)
    kind = kind * 3 + lockCount
    const sql =
      this.#texts.get(kind) ?? this.#write(kind, rows, this.#before(lockCount, parameters.length + 1))
    if (lockCount === 1) parameters.push(locks[0])
    else if (lockCount > 1) parameters.push(...this.#dialect.manyRowParameters([locks]))
    return { sql, parameters }
  }

  #write(kind: number, rows: readonly NewRow[], before: string | undefined): string {
    const dialect = this.#dialect
    const places = columns.map((_, index) => placeOf(rows, index))
    const stored = columns.filter((_, index) => places[index] !== absent)
    const incoming = columns.filter((_, index) => places[index] === own)
    const namesOf = (some: typeof columns) => some.map(({ name }) => name)
    let parameter = 0
    const values = stored.map((column) => {
      const isOwn = incoming.includes(column)
      parameter += isOwn ? 0 : 1
      const value = isOwn ? `incoming."${column.name}"` : `$${parameter}`
      if (column.from !== undefined) return dialect[column.from](value)
      return isOwn && column.isInteger ? `CAST(${value} AS integer)` : value
    })
    const sources = [
      ...(before === undefined ? [] : ['before']),
      ...(incoming.length === 0 ? [] : [dialect.manyRows(parameter + 1, namesOf(incoming))]),
    ]
    const sql = [
      before ?? '',
      `INSERT INTO ${dialect.table('outbox')} (${namesOf(stored).join(', ')})`,
      `SELECT ${values.join(', ')}`,
      sources.length > 0 ? `FROM ${sources.join(', ')}` : '',
      incoming.length > 0 ? 'ORDER BY incoming.n' : '',
    ]
      .filter((line) => line !== '')
      .join('\n')
    this.#texts.set(kind, sql)
    return sql
  }

  /** One row, for which the insert has to wait: the locks are taken, and relays will be woken. */
  #before(lockCount: number, parameter: number): string | undefined {
    const { notify } = this.#dialect
    const wake = notify === undefined ? [] : [notify]
    if (lockCount > 1) {
      const lock = this.#dialect.keyLock('incoming."key"')
      const locked = `SELECT ${lock} FROM ${this.#dialect.manyRows(parameter, ['key'])}`
      const row = ['count(*)', ...wake].join(', ')
      return `WITH locked AS MATERIALIZED (${locked}), before AS MATERIALIZED (SELECT ${row} FROM locked)`
    }
    const row = lockCount === 1 ? [this.#dialect.keyLock(`$${parameter}`), ...wake] : wake
    return row.length === 0 ? undefined : `WITH before AS MATERIALIZED (SELECT ${row.join(', ')})`
  }
}

function placeOf(rows: readonly NewRow[], index: number): Place {
  // Ids make rows, even those of messages that are alike.
  if (index === idColumn && rows.length > 1) return own
  const first = valueAt(rows[0], index)
  for (const row of rows) if (row.values[index] !== first) return own
  return first === null ? absent : shared
}

function valueAt(row: NewRow | undefined, index: number): Value {
  return row?.values[index] ?? null
}

/** In an order that is the same for all, so that two batches never wait for each other; each once. */
function locksOf(rows: readonly NewRow[]): readonly string[] {
  const all: string[] = []
  for (const { lock } of rows) if (lock !== undefined) all.push(lock)
  if (all.length < 2) return all
  all.sort()
  return all.filter((lock, index) => lock !== all[index - 1])
}
