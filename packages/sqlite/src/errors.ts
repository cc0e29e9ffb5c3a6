import { type ErrorCode, MessagingError } from '@waybill/core/driver'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly text: string
}

const missing: Meaning = {
  code: 'topology-missing',
  retryable: false,
  text: "A table is missing. Run database.migrate(), or the SQL of database.migrations(), if it is Waybill's",
}

// By the primary result code (SQLite documentation, "Result and Error Codes").
const meanings: ReadonlyMap<number, Meaning> = new Map([
  [5, { code: 'timeout', retryable: true, text: 'Another process held the database for too long' }],
  [8, { code: 'rejected', retryable: true, text: 'The database is read-only: check file and folder' }],
  [10, { code: 'failed', retryable: true, text: 'The file of the database could not be read or written' }],
  [11, { code: 'failed', retryable: false, text: 'The file of the database is damaged' }],
  [13, { code: 'throttled', retryable: true, text: 'There is no room left for the database' }],
  [14, { code: 'connection-failed', retryable: true, text: 'The file of the database cannot be opened' }],
  [26, { code: 'topology-mismatch', retryable: false, text: 'The file is no SQLite database' }],
])

/** A condition of the database that is known; undefined for what a statement itself is to blame for. */
export function explainSqliteError(error: unknown): MessagingError | undefined {
  if (!(error instanceof Error) || MessagingError.is(error)) return undefined
  const code: unknown = Reflect.get(error, 'errcode')
  if (typeof code !== 'number') return undefined
  const isMissing = code === 1 && error.message.startsWith('no such table')
  const meaning = isMissing ? missing : meanings.get(code & 0xff)
  if (meaning === undefined) return undefined
  return new MessagingError(meaning.code, `${meaning.text} (${error.message})`, {
    retryable: meaning.retryable,
    cause: error,
  })
}

/** It has no code of its own. */
export function lacksColumn(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('no such column')
}
