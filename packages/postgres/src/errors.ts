import { type ErrorCode, MessagingError } from '@waybill/core/driver'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly text: string
}

const meaning = (code: ErrorCode, retryable: boolean, text: string): Meaning => ({ code, retryable, text })

const away = 'The database does not answer'
const missing =
  "A table or schema is missing. Run database.migrate(), or the SQL of database.migrations(), if it is Waybill's"
const isReadOnly = '25006'
const undefinedColumn = '42703'
const queryTimeout = 'Query read timeout'

// By SQLSTATE (PostgreSQL documentation, appendix A).
const byState: ReadonlyMap<string, Meaning> = new Map([
  [
    isReadOnly,
    meaning('rejected', true, 'The database is read-only, a standby perhaps. Connect to the primary'),
  ],
  ['25P02', meaning('failed', true, 'A statement of the transaction failed, so it was rolled back')],
  ['25P03', meaning('disconnected', true, 'The database ended the connection')],
  ['25P04', meaning('disconnected', true, 'The database ended the connection')],
  ['3D000', meaning('topology-missing', false, 'There is no such database')],
  ['3F000', meaning('topology-missing', false, missing)],
  ['42P01', meaning('topology-missing', false, missing)],
  ['42501', meaning('access-denied', true, 'The role lacks a right; docs/database.md lists what it takes')],
  [
    '22021',
    meaning('invalid-message', false, 'A text has a character that PostgreSQL cannot store, such as NUL'),
  ],
  ['40001', meaning('failed', true, 'Another transaction was first. Run the transaction again')],
  ['40P01', meaning('failed', true, 'Transactions waited for each other. Run the transaction again')],
  [
    '53200',
    meaning(
      'throttled',
      true,
      'The database lacks memory, or room for so many locks: raise max_locks_per_transaction, or store messages of fewer keys in one transaction',
    ),
  ],
  ['55P03', meaning('timeout', true, 'Another transaction held a lock for too long')],
  ['57014', meaning('timeout', true, 'The statement took longer than allowed')],
  ['57P01', meaning('disconnected', true, 'The database ended the connection')],
  ['57P02', meaning('disconnected', true, 'The database ended the connection')],
  ['57P03', meaning('disconnected', true, 'The database is starting, or in recovery')],
  ['57P05', meaning('disconnected', true, 'The database ended the connection')],
])

// By the first two characters, the class.
const byClass: ReadonlyMap<string, Meaning> = new Map([
  ['08', meaning('disconnected', true, away)],
  ['28', meaning('access-denied', true, 'The database refused the credentials')],
  ['53', meaning('throttled', true, 'The database lacks room for more')],
  ['58', meaning('failed', true, 'The database could not read or write a file')],
])

// What `pg` and Node throw without a state (Node.js documentation, "Common system errors").
const systemErrors = /^E(?:CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|NOTFOUND|AI_AGAIN)$/
const lost =
  /^(?:Connection terminated|Client has encountered a connection error|Client was closed|timeout expired|PGlite is closed)/

// By the message: what `pg` and its pool throw without a code.
const byMessage: ReadonlyMap<string, Meaning> = new Map([
  [
    'timeout exceeded when trying to connect',
    meaning(
      'throttled',
      true,
      'All connections of the pool are in use. Raise its max, or lower the concurrency of what uses it',
    ),
  ],
  [queryTimeout, meaning('timeout', true, 'The statement took longer than query_timeout of the pool')],
])

/** A condition of the database that is known; undefined for what a statement itself is to blame for. */
export function explainPostgresError(error: unknown): MessagingError | undefined {
  if (!(error instanceof Error) || MessagingError.is(error)) return undefined
  const code: unknown = Reflect.get(error, 'code')
  const found = typeof code === 'string' ? meaningOf(code) : undefined
  const known =
    found ??
    byMessage.get(error.message) ??
    (lost.test(error.message) ? meaning('disconnected', true, away) : undefined)
  if (known === undefined) return undefined
  // A refusal on each of a host's addresses has no message of its own.
  const detail = error.message === '' ? String(code) : error.message
  return new MessagingError(known.code, `${known.text} (${detail})`, {
    retryable: known.retryable,
    cause: error,
  })
}

/**
 * Whether the connection must not be used again: it is lost, still busy with a statement that was given up, or leads to a
 * server that takes no writes, while a new one may lead to the primary.
 */
export function endsConnection(error: unknown): boolean {
  const known = MessagingError.is(error) ? error : explainPostgresError(error)
  if (known?.code === 'disconnected') return true
  const { cause } = known ?? {}
  return (
    cause instanceof Error && (cause.message === queryTimeout || Reflect.get(cause, 'code') === isReadOnly)
  )
}

export function lacksColumn(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, 'code') === undefinedColumn
}

function meaningOf(code: string): Meaning | undefined {
  if (systemErrors.test(code)) return meaning('disconnected', true, away)
  if (code.length !== 5) return undefined
  return byState.get(code) ?? byClass.get(code.slice(0, 2))
}
