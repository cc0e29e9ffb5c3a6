/**
 * What Waybill needs of a transaction: one method, so that any library's transaction can be given. Placeholders are `$1`, `$2`,
 * … on every database.
 *
 * @example
 * // A client of `pg` in the middle of a transaction:
 * const transaction: Transaction = { query: async (sql, parameters) => (await client.query(sql, [...(parameters ?? [])])).rows }
 */
export interface Transaction {
  query<Row = Record<string, unknown>>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]>
}

/** A database, by its two methods. */
export interface Queries extends Transaction {
  /**
   * Commits when `work` resolves, rolls back when it rejects.
   *
   * @throws what `work` throws, or a `MessagingError` when the database cannot begin or commit.
   */
  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result>
}
