interface Rows {
  readonly rows: readonly unknown[]
}

/** What is used of a client of `pg`. */
export interface PostgresClient {
  query(sql: string, parameters?: unknown[]): Promise<Rows>
  release(destroy?: boolean): void
  on(event: 'notification' | 'error' | 'end', listener: (value?: unknown) => void): unknown
  removeListener(event: 'notification' | 'error' | 'end', listener: (value?: unknown) => void): unknown
}

/** What is used of a pool of `pg`. */
export interface PostgresPool {
  readonly options?: { readonly max?: number }
  connect(): Promise<PostgresClient>
  end(): Promise<void>
}

interface PgliteQueries {
  query<Row>(sql: string, parameters?: unknown[]): Promise<{ readonly rows: readonly Row[] }>
}

/** What is used of a `PGlite`. */
export interface PgliteClient extends PgliteQueries {
  transaction<Result>(work: (transaction: PgliteQueries) => Promise<Result>): Promise<Result>
  listen(channel: string, onNotification: () => void): Promise<(...args: never[]) => Promise<void>>
  close(): Promise<void>
}
