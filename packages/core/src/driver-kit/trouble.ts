import { MessagingError } from '../lib/errors.ts'

/**
 * The errors of the first five minutes, worded the same on every broker: what happened, to what, and what to do next. None
 * of them repeats a secret.
 */

interface Peer {
  /** The broker's name for people: `RabbitMQ`. */
  readonly broker: string
  /** Where: `localhost:5672`, `eu-west-1`. */
  readonly address: string
  readonly cause?: unknown
}

/**
 * The broker does not accept the credentials. `access-denied`, not retryable.
 *
 * @example
 * throw refusedCredentials({ broker: 'RabbitMQ', address: 'localhost:5672', user: 'guest', cause: error })
 */
export function refusedCredentials(peer: Peer & { readonly user: string | undefined }): MessagingError {
  const who = peer.user === undefined ? 'a connection without a user' : `user "${peer.user}"`
  const message = `${peer.broker} at ${peer.address} refused ${who}: check user and password, in the URL or the native options`
  return new MessagingError('access-denied', message, causeOf(peer))
}

/**
 * Nothing answers at the address, or something else does. `connection-failed`, retryable.
 *
 * @example
 * throw unreachable({ broker: 'Kafka', address: 'localhost:9092', reason: 'connection refused', cause: error })
 */
export function unreachable(peer: Peer & { readonly reason: string }): MessagingError {
  const message = `${peer.broker} at ${peer.address} cannot be reached (${oneLine(peer.reason)}): check host and port, and that the broker is running`
  return new MessagingError('connection-failed', message, { ...causeOf(peer), retryable: true })
}

/**
 * One side uses TLS and the other does not, or the certificate is not trusted. `connection-failed`; `isOurs` says that this side
 * asked for TLS.
 *
 * @example
 * throw tlsFailed({
 *   broker: 'RabbitMQ',
 *   address: 'localhost:5672',
 *   isOurs: true,
 *   reason: 'wrong version number',
 *   secureScheme: 'amqps',
 *   cause: error,
 * })
 */
export function tlsFailed(
  peer: Peer & {
    readonly isOurs: boolean
    readonly reason: string
    readonly secureScheme: string
    /** Where the same can happen to a broker that is restarting. Default: false. */
    readonly retryable?: boolean
  },
): MessagingError {
  const next = peer.isOurs
    ? 'check that this port speaks TLS, and set `tls.ca` if the certificate is signed by an authority of your own'
    : `the port seems to expect TLS; write ${peer.secureScheme}:`
  const message = `${peer.broker} at ${peer.address} and we could not agree on TLS (${oneLine(peer.reason)}): ${next}`
  return new MessagingError('connection-failed', message, {
    ...causeOf(peer),
    retryable: peer.retryable ?? false,
  })
}

/**
 * The user is known but lacks a permission. `access-denied`, not retryable, `not-sent`.
 *
 * @example
 * throw missingRights({
 *   what: 'Creating topic orders',
 *   broker: 'Kafka',
 *   reason: 'Not authorized to access topics',
 *   grant: 'Create on topic orders',
 *   cause: error,
 * })
 */
export function missingRights({
  what,
  broker,
  address,
  user,
  reason,
  grant = 'the right, as listed under "Permissions" in the README of the adapter',
  ...rest
}: Pick<Peer, 'broker' | 'cause'> & {
  readonly what: string
  readonly address?: string
  /** Where it is known: often the broker's own words name it. */
  readonly user?: string | undefined
  /** The broker's own words. */
  readonly reason: string
  /** What to give the user, where it is known better. */
  readonly grant?: string
}): MessagingError {
  const where = address === undefined ? broker : `${broker} at ${address}`
  const who = user === undefined ? 'this user' : `user "${user}"`
  const message = `${what}: ${where} does not allow this for ${who} (${oneLine(reason)}); grant ${grant}`
  return new MessagingError('access-denied', message, { ...causeOf(rest), fate: 'not-sent' })
}

/**
 * Something exists with other settings. `topology-mismatch`, not retryable, `not-sent`.
 *
 * @example
 * throw definedOtherwise({ what: 'Topic orders', ours: 'ordered', theirs: 'not ordered' })
 */
export function definedOtherwise({
  what,
  ours,
  theirs,
  next = 'change the definition, or delete it there or take another name',
  cause,
}: {
  /** `Topic orders`, `Queue orders:billing`. */
  readonly what: string
  readonly ours: string
  readonly theirs: string
  /** What to do, where there is something better than the default. */
  readonly next?: string
  readonly cause?: unknown
}): MessagingError {
  const message = `${what} is ${ours} in its definition, but exists at the broker as ${theirs}: ${next}`
  return new MessagingError('topology-mismatch', message, {
    fate: 'not-sent',
    ...(cause !== undefined && { cause }),
  })
}

// OpenSSL's errors end in a line break, and brokers' words may have more.
function oneLine(reason: string): string {
  return reason.trim().replace(/\s*\n\s*/g, ' ')
}

function causeOf({ cause }: { readonly cause?: unknown }): { readonly cause?: unknown } {
  return cause === undefined ? {} : { cause }
}
