import type { Dialect } from '../dialect.ts'
import type { NewRow } from './row.ts'

/** The columns of a new row: the name of its field, its type within JSON, and how the column is made of that. */
const columns = (dialect: Dialect) =>
  [
    { column: 'slot', field: 'slot', type: 'integer' },
    { column: 'topic', field: 'topic', type: 'text' },
    { column: 'type', field: 'type', type: 'text' },
    { column: 'version', field: 'version', type: 'integer' },
    { column: 'id', field: 'id', type: 'text' },
    { column: 'key', field: 'key', type: 'text' },
    { column: 'source', field: 'source', type: 'text' },
    { column: 'data', field: 'data', type: 'text' },
    { column: 'data_bytes', field: 'bytes', type: 'text', from: dialect.fromHex },
    { column: 'options', field: 'options', type: 'text' },
    { column: 'topic_options', field: 'topicOptions', type: 'text' },
    { column: 'sent_at', field: 'sentAt', type: 'bigint', from: dialect.fromEpochMs },
    { column: 'due_at', field: 'delayMs', type: 'bigint', from: dialect.after },
    { column: 'expires_at', field: 'expiresAt', type: 'bigint', from: dialect.fromEpochMs },
  ] as const

interface Statement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

/** The statements that put messages into the outbox, prepared for one database. */
export class Inserts {
  readonly #dialect: Dialect
  readonly #texts = new Map<string, string>()

  constructor(dialect: Dialect) {
    this.#dialect = dialect
  }

  /**
   * One statement for all rows. Before an id is drawn it takes the locks, in the order in which they are given: inserts of a key
   * wait for the transaction that made the one before, so that ids are in the order of commits.
   */
  of(rows: readonly NewRow[], locks: readonly string[]): Statement {
    const [row] = rows
    const isOne = rows.length === 1 && row !== undefined && row.bytes === null
    const hasLocks = locks.length > 0 && this.#dialect.keyLocks('') !== undefined
    const text = this.#text(isOne, hasLocks)
    const values = isOne ? valuesOf(row) : [JSON.stringify(rows.map(asJson))]
    return { sql: text, parameters: hasLocks ? [...values, locks] : values }
  }

  #text(isOne: boolean, hasLocks: boolean): string {
    const kind = `${isOne} ${hasLocks}`
    const known = this.#texts.get(kind)
    if (known !== undefined) return known
    const text = this.#write(isOne, hasLocks)
    this.#texts.set(kind, text)
    return text
  }

  #write(isOne: boolean, hasLocks: boolean): string {
    const dialect = this.#dialect
    const all = columns(dialect)
    const parts: string[] = []
    const sources: string[] = []
    const lock = hasLocks ? dialect.keyLocks(`$${isOne ? all.length + 1 : 2}`) : undefined
    if (lock !== undefined) {
      parts.push(`locked AS MATERIALIZED (${lock})`)
      sources.push('(SELECT count(*) FROM locked) AS all_locked')
    }
    if (dialect.notify !== undefined) {
      parts.push(`notified AS MATERIALIZED (SELECT ${dialect.notify})`)
      sources.push('(SELECT count(*) FROM notified) AS all_notified')
    }
    const values = all.map((each, index) => {
      const value = isOne ? dialect.typed(`$${index + 1}`, each.type) : `incoming."${each.field}"`
      return 'from' in each ? each.from(value) : value
    })
    if (!isOne) {
      const fields = [{ field: 'n', type: 'integer' } as const, ...all]
      sources.push(`${dialect.rowsOfJson('$1', fields)}`)
    }
    return [
      parts.length > 0 && `WITH ${parts.join(', ')}`,
      `INSERT INTO ${dialect.table('outbox')} (${all.map(({ column }) => column).join(', ')})`,
      `SELECT ${values.join(', ')}`,
      sources.length > 0 && `FROM ${sources.join(', ')}`,
      !isOne && 'ORDER BY incoming.n',
    ]
      .filter((line) => line !== false)
      .join('\n')
  }
}

function valuesOf(row: NewRow): unknown[] {
  return [
    row.slot,
    row.topic,
    row.type,
    row.version,
    row.id,
    row.key,
    row.source,
    row.data,
    null,
    row.options,
    row.topicOptions,
    row.sentAt,
    row.delayMs,
    row.expiresAt,
  ]
}

function asJson(row: NewRow, n: number): object {
  return { n, ...row, bytes: row.bytes === null ? null : Buffer.from(row.bytes).toString('hex') }
}
