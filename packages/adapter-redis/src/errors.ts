import { MessagingError, toError } from '@waybill/core/driver'
import { missingRights, refusedCredentials, tlsFailed, unreachable } from '@waybill/core/driver-kit'
import { faultOf, isTlsFault } from './client/faults.ts'
import type { RedisSettings } from './options.ts'

type Row = readonly [pattern: RegExp, code: MessagingError['code'], retryable: boolean]

/** Replies begin with a code (Redis documentation, "Redis serialization protocol", simple errors). The first match counts. */
const replies: readonly Row[] = [
  [/^(NOAUTH|WRONGPASS|NOPERM|DENIED)\b|invalid password/, 'access-denied', false],
  [/^OOM\b|^MISCONF\b|^NOREPLICAS\b/, 'rejected', true],
  [/^WITHHELD\b/, 'rejected', true],
  [/^STALE\b/, 'stale', false],
  [/^(LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|UNBLOCKED)\b/, 'disconnected', true],
  [/max number of clients/, 'connection-failed', true],
  [/^BUSY\b/, 'throttled', true],
  [/^(NOGROUP|NOTOPIC)\b/, 'topology-missing', true],
  [/^WRONGTYPE\b/, 'topology-mismatch', false],
  // Servers before Redis 7 take the first line for Lua (Redis documentation, "Eval scripts", script flags).
  [/unexpected symbol near '#'|Unexpected engine in script shebang/, 'unsupported', false],
]

/** Whether the reply means that this connection leads to a server that is no master, or not ready. */
export function needsNewConnection(error: unknown): boolean {
  return /^(READONLY|LOADING|MASTERDOWN)\b/.test(toError(error).message)
}

/** Whether a write was refused because the server's memory is full. */
export function isMemoryFull(error: unknown): boolean {
  return /(^|: )OOM\b/.test(toError(error).message)
}

const needsFlags =
  'This server does not know "#!lua" script flags, which the adapter needs: use Redis 7 or later, or Valkey'

/** An error reply of the server, as one of ours. */
export function fromErrorReply(reply: string, what: string, cause?: Error): MessagingError {
  const [, code, retryable] = replies.find(([pattern]) => pattern.test(reply)) ?? [undefined, 'failed', false]
  if (/^NOPERM\b/.test(reply)) return missingRights({ what, broker: 'Redis', reason: reply, cause })
  const options = { retryable, fate: 'not-sent' } as const
  const text = code === 'unsupported' ? `${needsFlags} (${reply})` : `${what}: ${reply}`
  return new MessagingError(code, text, cause === undefined ? options : { ...options, cause })
}

/** Whatever the client rejects with, as one of ours. `cause` is the connection's own error, which clients report elsewhere. */
export function toRedisError(thrown: unknown, what: string, cause?: Error): MessagingError {
  if (MessagingError.is(thrown)) return thrown
  const error = toError(thrown)
  const fault = faultOf(error)
  if (fault.kind === 'refused') return fromErrorReply(fault.reply, what, error)
  // A connection that the server refused is only reported as closed.
  const connectionFault = cause === undefined ? undefined : faultOf(cause)
  if (connectionFault?.kind === 'refused') return fromErrorReply(connectionFault.reply, what, cause)
  const because = cause === undefined || cause.message === error.message ? '' : ` (${cause.message})`
  return new MessagingError('disconnected', `${what}: ${error.message}${because}`, {
    retryable: true,
    cause: cause ?? error,
    fate: fault.kind === 'not-sent' ? 'not-sent' : 'unknown',
  })
}

const credentialsProblem = /WRONGPASS|NOAUTH|invalid password|without any password configured/

/** Why no connection could be opened, in the words that all adapters share. */
export function toConnectError(
  error: MessagingError,
  { hosts, username, tls }: Pick<RedisSettings, 'hosts' | 'username' | 'tls'>,
): MessagingError {
  const cause = error.cause === undefined ? error : toError(error.cause)
  const reason = cause.message
  const address = hosts.map(({ host, port }) => `${host}:${port}`).join(', ')
  const peer = { broker: 'Redis', address, cause: error.cause }
  if (credentialsProblem.test(reason)) return refusedCredentials({ ...peer, user: username })
  const overTls = { ...peer, reason, isOurs: tls !== undefined, secureScheme: 'rediss' }
  if (isTlsFault(cause)) return tlsFailed(overTls)
  // A server without TLS takes the handshake for the start of a command and waits for the rest.
  if (tls !== undefined && error.code === 'timeout') return tlsFailed({ ...overTls, retryable: true })
  return error.code === 'timeout' || error.code === 'disconnected' ? unreachable({ ...peer, reason }) : error
}

/** What a topic of notices cannot do. */
export function unsupportedOnNotices(topic: string, what: string): MessagingError {
  return new MessagingError(
    'unsupported',
    `Topic ${topic} has the mode "notices", which keeps nothing, so there is no ${what}. Use mode "stream", or broadcast consumers and plain sends`,
    { fate: 'not-sent' },
  )
}
