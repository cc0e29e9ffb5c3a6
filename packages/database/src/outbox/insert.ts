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
    const hasLocks = locks.length > 0 && this.#dialect.keyLocks('') !== undefined
    // What is the same in all rows is given once. Ids make rows, even those of messages that are alike.
    const shared: unknown[] = []
    const own: (readonly unknown[])[] = []
    let kind = hasLocks ? 'locked ' : ''
    for (const { name, value } of this.#columns) {
      const values = rows.map(value)
      const isShared = rows.length === 1 || (name !== 'id' && values.every((each) => each === values[0]))
      if (isShared) shared.push(values[0])
      else own.push(values)
      kind += isShared ? '1' : 'n'
    }
    const parameters = [...shared, ...(own.length === 0 ? [] : this.#dialect.rowParameters(own))]
    const sql = this.#text(kind, hasLocks ? parameters.length + 1 : undefined)
    return { sql, parameters: hasLocks ? [...parameters, locks] : parameters }
  }

  #text(kind: string, lockParameter: number | undefined): string {
    const known = this.#texts.get(kind)
    if (known !== undefined) return known
    const text = this.#write(kind, lockParameter)
    this.#texts.set(kind, text)
    return text
  }

  #write(kind: string, lockParameter: number | undefined): string {
    const dialect = this.#dialect
    const isShared = [...kind.slice(-this.#columns.length)].map((each) => each === '1')
    const parts: string[] = []
    const sources: string[] = []
    const lock = lockParameter === undefined ? undefined : dialect.keyLocks(`$${lockParameter}`)
    if (lock !== undefined) {
      parts.push(`locked AS MATERIALIZED (${lock})`)
      sources.push('(SELECT count(*) FROM locked) AS all_locked')
    }
    if (dialect.notify !== undefined) {
      parts.push(`notified AS MATERIALIZED (SELECT ${dialect.notify})`)
      sources.push('(SELECT count(*) FROM notified) AS all_notified')
    }
    let parameter = 0
    const values = this.#columns.map(({ name, type, from }, index) => {
      parameter += isShared[index] ? 1 : 0
      const value = isShared[index] ? dialect.typed(`$${parameter}`, type) : `incoming."${name}"`
      return from === undefined ? value : from(value)
    })
    const own = this.#columns.filter((_, index) => !isShared[index])
    if (own.length > 0) sources.push(dialect.rows(parameter + 1, own))
    return [
      parts.length > 0 && `WITH ${parts.join(', ')}`,
      `INSERT INTO ${dialect.table('outbox')} (${this.#columns.map(({ name }) => name).join(', ')})`,
      `SELECT ${values.join(', ')}`,
      sources.length > 0 && `FROM ${sources.join(', ')}`,
      own.length > 0 && 'ORDER BY incoming.n',
    ]
      .filter((line) => line !== false)
      .join('\n')
  }
}

function hexOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
