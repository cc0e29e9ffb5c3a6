import { inspect } from 'node:util'
import { isNativeError } from 'node:util/types'

/**
 * What went wrong, for programs. Messages are for people and may change; codes do not.
 *
 * | code | meaning |
 * | --- | --- |
 * | `invalid-options` | options are wrong; `issues` lists each problem with its path |
 * | `invalid-message` | a message to be sent does not fit its schema or the wire; `issues` lists why |
 * | `undecodable` | a received body is not a CloudEvents event, or of a version we cannot read |
 * | `too-large` | a message is above the broker's limit |
 * | `unsupported` | the driver cannot do what was asked |
 * | `adapter-missing` | no adapter package for the URL's scheme is installed |
 * | `adapter-mismatch` | the adapter was written for another version of the driver contract |
 * | `connection-failed` | the broker could not be reached or refused us |
 * | `disconnected` | an established connection was lost |
 * | `access-denied` | wrong credentials or missing permissions |
 * | `topology-missing` | a topic, group or queue does not exist and may not be created |
 * | `topology-mismatch` | it exists with other settings than asked for |
 * | `rejected` | the broker refused the operation (a full queue, an unroutable message) |
 * | `throttled` | the broker asks us to slow down |
 * | `timeout` | the operation took longer than allowed |
 * | `aborted` | the caller's `AbortSignal` fired |
 * | `closed` | the bus, producer, consumer or subscription is closed |
 * | `stale` | a settlement of a delivery that is no longer ours |
 * | `permanent` | a handler gave the message up (`PermanentError`) |
 * | `retry-after` | a handler asked for a retry at a time of its own (`RetryAfter`) |
 * | `skip` | a handler or middleware acked the message without handling it (`SkipMessage`) |
 * | `request-failed` | a request was given up, or its reply is invalid (`RequestError`) |
 * | `failed` | anything else the broker's client reported |
 */
export type ErrorCode =
  | 'invalid-options'
  | 'invalid-message'
  | 'undecodable'
  | 'too-large'
  | 'unsupported'
  | 'adapter-missing'
  | 'adapter-mismatch'
  | 'connection-failed'
  | 'disconnected'
  | 'access-denied'
  | 'topology-missing'
  | 'topology-mismatch'
  | 'rejected'
  | 'throttled'
  | 'timeout'
  | 'aborted'
  | 'closed'
  | 'stale'
  | 'permanent'
  | 'retry-after'
  | 'skip'
  | 'request-failed'
  | 'failed'

/** What is known about a message whose send failed: certainly not sent, or perhaps stored by the broker. */
export type Fate = 'not-sent' | 'unknown'

export interface MessagingErrorOptions {
  /** Whether the same call may succeed later without any change. Default: false. */
  readonly retryable?: boolean
  readonly cause?: unknown
  /** For sends only. */
  readonly fate?: Fate
}

/** One problem of an input: where it is and what is wrong with it. */
export interface Issue {
  /** Dotted path into the options or the data; empty for the whole. */
  readonly path: string
  readonly message: string
}

// A registered symbol, because `instanceof` fails between two installed copies of this package.
const brand = Symbol.for('waybill.MessagingError')

/**
 * Waybill's only error type; the others extend it. `cause` is the client's original error where there is one.
 *
 * ```ts
 * try {
 *   await producer.send(OrderPlaced, order, { id: order.orderId })
 * } catch (error) {
 *   if (MessagingError.is(error) && error.fate === 'unknown') retryLaterWithTheSameId(order)
 *   else throw error
 * }
 * ```
 */
export class MessagingError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly fate: Fate | undefined

  constructor(code: ErrorCode, message: string, options: MessagingErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = new.target.name
    this.code = code
    this.retryable = options.retryable ?? false
    this.fate = options.fate
    Object.defineProperty(this, brand, { value: true })
  }

  /**
   * Like `instanceof`, but works across several copies of the package.
   *
   * ```ts
   * if (MessagingError.is(error) && error.code === 'timeout') showLater()
   * ```
   */
  static is(error: unknown): error is MessagingError {
    try {
      if (typeof error !== 'object' || error === null) return false
      // Not `in`: a proxy may say yes to anything.
      return Reflect.get(error, brand) === true && typeof Reflect.get(error, 'code') === 'string'
    } catch {
      // It throws when it is inspected.
      return false
    }
  }
}

function listIssues(issues: readonly Issue[]): string {
  return issues.map(({ path, message }) => `\n  - ${path === '' ? message : `${path}: ${message}`}`).join('')
}

/**
 * Options are wrong. All problems are listed in `issues`, each with its path.
 *
 * ```ts
 * if (error instanceof ConfigurationError) for (const { path, message } of error.issues) console.error(path, message)
 * ```
 */
export class ConfigurationError extends MessagingError {
  readonly issues: readonly Issue[]

  constructor(what: string, issues: readonly Issue[]) {
    super('invalid-options', `Invalid ${what}:${listIssues(issues)}`)
    this.issues = issues
  }
}

/**
 * A message was not sent because it is invalid: its data does not fit the schema, or cannot be encoded.
 *
 * ```ts
 * if (error instanceof InvalidMessageError) reply(400, error.issues) // [{ path: 'data.total', message: '…' }]
 * ```
 */
export class InvalidMessageError extends MessagingError {
  readonly issues: readonly Issue[]

  constructor(what: string, issues: readonly Issue[]) {
    super('invalid-message', `Invalid ${what}; nothing was sent:${listIssues(issues)}`, { fate: 'not-sent' })
    this.issues = issues
  }
}

/**
 * Throw it in a handler to send the message to the dead letters at once, without further attempts.
 *
 * ```ts
 * if (response.status === 402) throw new PermanentError('the card was declined', { cause: response })
 * ```
 */
export class PermanentError extends MessagingError {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super('permanent', message, options)
  }
}

/**
 * Throw it in a handler or middleware to ack the message without handling it. The event is `skipped`, and there is no
 * idempotency mark.
 *
 * ```ts
 * consumer.use(async ({ message }, next) => {
 *   if (message.metadata.tenant !== 'acme') throw new SkipMessage('another tenant')
 *   await next()
 * })
 * ```
 */
export class SkipMessage extends MessagingError {
  constructor(reason: string, options: { readonly cause?: unknown } = {}) {
    super('skip', reason, options)
  }
}

/** What a requester is told of a request that was given up. */
export interface RequestFailure {
  /**
   * As of a dead letter: `attempts-exhausted`, `permanent`, `invalid-data`, …; or `expired`, `skipped`, `invalid-reply`,
   * `reply-not-sent`.
   */
  readonly reason: string
  /** The group that gave it up. */
  readonly group?: string
  /** The last error there: its name and message, not its stack. */
  readonly error?: { readonly name: string; readonly message: string }
}

/**
 * A request was given up by those who handle it, or its reply does not fit the schema. `reason` says why.
 *
 * ```ts
 * const price = await bus.request(QuoteAsked, { sku: 's-1' }).catch((error) => {
 *   if (error instanceof RequestError && error.reason === 'permanent') return undefined
 *   throw error
 * })
 * ```
 */
export class RequestError extends MessagingError {
  readonly reason: string
  readonly group: string | undefined
  readonly error: RequestFailure['error']

  constructor(what: string, { reason, group, error }: RequestFailure) {
    const by = group === undefined ? '' : ` by group ${group}`
    const why = error === undefined ? '' : `: ${error.name}: ${error.message}`
    super('request-failed', `${what} was given up${by} (${reason})${why}`)
    this.reason = reason
    this.group = group
    this.error = error
  }
}

/**
 * Anything thrown, as an `Error` whose name, message and stack can be read: handlers may throw strings, or objects that
 * throw when they are read.
 *
 * @example
 * toError('no funds').message // 'no funds'
 */
export function toError(thrown: unknown): Error {
  try {
    // An error of another realm, such as a test runner's sandbox, is no instance of this one's.
    if (thrown instanceof Error || isNativeError(thrown)) {
      const fields: unknown[] = [thrown.name, thrown.message, thrown.stack]
      if (fields.every((field) => field === undefined || typeof field === 'string')) return thrown
      return new Error(`Thrown: ${describe(thrown.message)}`, { cause: thrown })
    }
  } catch {
    return new Error('Thrown: an error that cannot be read', { cause: thrown })
  }
  return new Error(typeof thrown === 'string' ? thrown : `Thrown: ${describe(thrown)}`)
}

/** A short description of any value. */
export function describe(value: unknown): string {
  // JSON fails for a cycle, a BigInt, a toJSON that throws; then there may be no way to text either.
  const ways = [
    () => JSON.stringify(value),
    () => (typeof value === 'object' ? inspect(value) : String(value)),
  ]
  for (const toText of ways) {
    try {
      const text: unknown = toText()
      if (typeof text === 'string') return text
    } catch {}
  }
  return `something of type ${typeof value}`
}

/**
 * The error as a `MessagingError`. Any other becomes `failed`, with the original as its cause.
 *
 * @example
 * await client.close().catch((error: unknown) => report(toMessagingError(error, 'Closing the connection failed')))
 */
export function toMessagingError(
  thrown: unknown,
  what: string,
  options: MessagingErrorOptions = {},
): MessagingError {
  if (MessagingError.is(thrown)) return thrown
  return new MessagingError('failed', `${what}: ${toError(thrown).message}`, { ...options, cause: thrown })
}
