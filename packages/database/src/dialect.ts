import type { MessagingError } from '@waybill/core/driver'

export type FieldType = 'integer' | 'bigint' | 'text'

export interface RowColumn {
  readonly name: string
  readonly type: FieldType
}

/** How one database writes what all have. Names of parameters are those in the SQL, such as `$1`. */
export interface Dialect {
  readonly name: 'postgres' | 'sqlite'
  /** Moments are `timestamptz` in PostgreSQL and milliseconds since 1970 in SQLite. */
  readonly types: {
    readonly moment: string
    readonly bytes: string
    /** A column of ascending numbers that is the primary key. */
    readonly position: string
  }
  /** The present moment, not that of the transaction's begin. */
  readonly now: string
  /** The moment so many milliseconds from now. */
  after(milliseconds: string): string
  /** The milliseconds since 1970 of a moment. */
  epochMs(moment: string): string
  /** The moment of milliseconds since 1970. */
  fromEpochMs(milliseconds: string): string
  /** Bytes of their hexadecimal text. */
  fromHex(text: string): string
  /**
   * Rows that are given as parameters, the first of which has this number: a table called `incoming`, whose column `n` has their
   * order.
   */
  rows(first: number, columns: readonly RowColumn[]): string
  /** The parameters of `rows`, of the values of each column. */
  rowParameters(values: readonly (readonly unknown[])[]): readonly unknown[]
  /**
   * As `rows`, of two rows or more, with columns that may be texts, whatever is given, and with more parameters. Takes less time
   * for many rows, and more for few.
   */
  manyRows(first: number, names: readonly string[]): string
  /** The parameters of `manyRows`, of the values of each column: texts, numbers and nulls. */
  manyRowParameters(values: readonly (readonly unknown[])[]): readonly unknown[]
  /**
   * A query that takes a lock for each number of an array, in its order, until the transaction ends. Undefined: transactions
   * write one after the other anyway.
   */
  keyLocks(parameter: string): string | undefined
  /** An expression that takes such a lock for one number. */
  keyLock(parameter: string): string | undefined
  /** Whether a value is one of an array that is given as a parameter. */
  isIn(value: string, parameter: string, type: 'bigint' | 'text'): string
  /**
   * What a query with an order and a limit of its own finds for each of these numbers, one after the other: a table called
   * `found`. It is looked for as long as whoever reads the table wants more.
   */
  forEach(numbers: readonly number[], query: (number: string) => string): string
  /**
   * What tells the order in which transactions can have committed. PostgreSQL gives transactions numbers as they begin to write,
   * and knows the oldest that is running; in SQLite one writes at a time.
   */
  readonly transactions: {
    readonly type: string
    readonly current: string
    /** All with a lower number have ended. */
    readonly oldestRunning: string
    /** None has had this number, or a higher one. */
    readonly next: string
  }
  /**
   * What our own statements are written for: whether it is what transactions have by default, and what gives it to the one that has
   * just begun. Undefined: all transactions are alike.
   */
  readonly readCommitted: { readonly isDefault: string; readonly set: string } | undefined
  /** At the end of a SELECT: locks its rows, waiting for others. */
  readonly locking: string
  /** At the end of a SELECT: locks its rows, leaving out what others have locked. */
  readonly lockingFree: string
  /** A table of ours, quoted, with its schema. */
  table(name: string): string
  /** An index of ours, quoted, as CREATE INDEX takes it. */
  index(name: string): string
  /** What has to be there before the first table. */
  readonly preparations: readonly string[]
  /** Statements that keep others from applying migrations until the transaction ends. */
  readonly migrationLock: readonly string[]
  /** What the tables belong to, for errors: `schema "waybill"`. */
  readonly place: string
  /** Identifies the tables among those of all installations in the same database. */
  readonly namespace: string
  /** An expression that wakes those who listen once the transaction has committed; undefined: the database cannot. */
  readonly notify: string | undefined
  /** A known condition as an error of ours; anything else as it is. */
  explain(error: unknown): MessagingError | undefined
  /** Whether a statement failed because its table has no such column. */
  lacksColumn(error: unknown): boolean
}
