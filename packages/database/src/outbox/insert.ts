import type { Dialect, FieldType } from '../dialect.ts'
import type { NewRow } from './row.ts'

interface Column {
  readonly name: string
  readonly type: FieldType
  value(row: NewRow): unknown
  /** What the column is made of its value by. */
  readonly from?: (value: string) => string
}

const columnsOf = (dialect: Dialect): readonly Column[] => [
  { name: 'slot', type: 'integer', value: ({ slot }) => slot },
  { name: 'topic', type: 'text', value: ({ topic }) => topic },
  { name: 'type', type: 'text', value: ({ type }) => type },
  { name: 'version', type: 'integer', value: ({ version }) => version },
  { name: 'id', type: 'text', value: ({ id }) => id },
  { name: 'key', type: 'text', value: ({ key }) => key },
  { name: 'source', type: 'text', value: ({ source }) => source },
  { name: 'data', type: 'text', value: ({ data }) => data },
  { name: 'data_bytes', type: 'text', value: ({ bytes }) => hexOf(bytes), from: dialect.fromHex },
  { name: 'options', type: 'text', value: ({ options }) => options },
  { name: 'topic_options', type: 'text', value: ({ topicOptions }) => topicOptions },
  { name: 'sent_at', type: 'bigint', value: ({ sentAt }) => sentAt, from: dialect.fromEpochMs },
  { name: 'due_at', type: 'bigint', value: ({ delayMs }) => delayMs, from: dialect.after },
  { name: 'expires_at', type: 'bigint', value: ({ expiresAt }) => expiresAt, from: dialect.fromEpochMs },
]

interface Statement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

/** The statements that put messages into the outbox, prepared for one database. */
export class Inserts {
  readonly #dialect: Dialect
  readonly #columns: readonly Column[]
  readonly #texts = new Map<string, string>()

  constructor(dialect: Dialect) {
    this.#dialect = dialect
    this.#columns = columnsOf(dialect)
  }

  /**
   * One statement for all rows. Before an id is drawn it takes the locks, in the order in which they are given: inserts of a key
   * wait for the transaction that made the one before, so that ids are in the order of commits.
   */
  of(rows: readonly NewRow[], locks: readonly string[]): Statement {
    const lock = this.#dialect.keyLock('') === undefined ? undefined : lockOf(locks)
    const shared: unknown[] = []
    const own: (readonly unknown[])[] = []
    const [only] = rows
    const places = this.#columns.map(({ name, value }) => {
      if (only !== undefined && rows.length === 1) {
        const given = value(only)
        if (given === null) return 'absent'
        shared.push(given)
        return 'shared'
      }
      const values = rows.map(value)
      const place = placeOf(name, values)
      if (place === 'shared') shared.push(values[0])
      else if (place === 'own') own.push(values)
      return place
    })
    const parameters = [...shared, ...(own.length === 0 ? [] : this.#dialect.rowParameters(own))]
    const lockParameter = `$${parameters.length + 1}`
    const kind = `${lock?.kind} ${places.join()}`
    const sql = this.#texts.get(kind) ?? this.#write(places, this.#before(lock?.kind, lockParameter))
    this.#texts.set(kind, sql)
    return { sql, parameters: lock === undefined ? parameters : [...parameters, lock.value] }
  }

  #write(places: readonly Place[], before: string | undefined): string {
    const dialect = this.#dialect
    const isStored = (_: Column, index: number) => places[index] !== 'absent'
    const own = this.#columns.filter((_, index) => places[index] === 'own')
    let parameter = 0
    const values = this.#columns.map(({ name, type, from }, index) => {
      parameter += places[index] === 'shared' ? 1 : 0
      const value = places[index] === 'own' ? `incoming."${name}"` : dialect.typed(`$${parameter}`, type)
      return from === undefined ? value : from(value)
    })
    const sources = [
      ...(before === undefined ? [] : ['before']),
      ...(own.length === 0 ? [] : [dialect.rows(parameter + 1, own)]),
    ]
    const names = this.#columns.filter(isStored).map(({ name }) => name)
    return [
      before ?? '',
      `INSERT INTO ${dialect.table('outbox')} (${names.join(', ')})`,
      `SELECT ${values.filter((_, index) => places[index] !== 'absent').join(', ')}`,
      sources.length > 0 ? `FROM ${sources.join(', ')}` : '',
      own.length > 0 ? 'ORDER BY incoming.n' : '',
    ]
      .filter((line) => line !== '')
      .join('\n')
  }

  /** One row, for which the insert has to wait: the locks are taken, and relays will be woken. */
  #before(lock: Lock['kind'] | undefined, parameter: string): string | undefined {
    const { keyLock, keyLocks, notify } = this.#dialect
    const wake = notify === undefined ? [] : [notify]
    if (lock === 'many') {
      const row = ['count(*)', ...wake].join(', ')
      return `WITH locked AS MATERIALIZED (${keyLocks(parameter)}), before AS MATERIALIZED (SELECT ${row} FROM locked)`
    }
    const row = lock === 'one' ? [keyLock(parameter), ...wake] : wake
    return row.length === 0 ? undefined : `WITH before AS MATERIALIZED (SELECT ${row.join(', ')})`
  }
}

interface Lock {
  readonly kind: 'one' | 'many'
  readonly value: string | readonly string[]
}

function lockOf(locks: readonly string[]): Lock | undefined {
  const [first] = locks
  if (first === undefined) return undefined
  return locks.length === 1 ? { kind: 'one', value: first } : { kind: 'many', value: locks }
}

/**
 * Where the values of a column are given: in one parameter for all rows, in one value a row, or nowhere, as no row has any: a
 * shorter statement is planned in less time.
 */
type Place = 'absent' | 'shared' | 'own'

function placeOf(name: string, values: readonly unknown[]): Place {
  const [first] = values
  // Ids make rows, even those of messages that are alike.
  const isShared = name !== 'id' && values.every((each) => each === first)
  if (!isShared) return 'own'
  return first === null ? 'absent' : 'shared'
}

function hexOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
