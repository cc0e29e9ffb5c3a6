import { type ErrorCode, type Fate, MessagingError, toError } from '@waybill/core/driver'
import { missingRights, refusedCredentials, tlsFailed, unreachable } from '@waybill/core/driver-kit'
import type { RabbitmqSettings } from './options.ts'

/** What the client was doing when it failed. */
export type Stage = 'connecting' | 'working'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
}

/** Reply codes (AMQP 0-9-1 specification, 1.1, and its RabbitMQ errata) of channels and connections closed by the broker. */
const replyCodes: Readonly<Record<number, Meaning>> = {
  311: { code: 'too-large', retryable: false },
  312: { code: 'topology-missing', retryable: true },
  320: { code: 'disconnected', retryable: true },
  402: { code: 'connection-failed', retryable: false },
  403: { code: 'access-denied', retryable: false },
  404: { code: 'topology-missing', retryable: true },
  405: { code: 'failed', retryable: true },
  406: { code: 'topology-mismatch', retryable: false },
  501: { code: 'disconnected', retryable: true },
  504: { code: 'disconnected', retryable: true },
  505: { code: 'disconnected', retryable: true },
  506: { code: 'failed', retryable: true },
  530: { code: 'access-denied', retryable: false },
  541: { code: 'failed', retryable: true },
}

/** OpenSSL's and Node's codes for a certificate or protocol that will not do, today or tomorrow. */
const tlsProblem = /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/

function meaningOf(error: Error, stage: Stage): Meaning {
  const code: unknown = 'code' in error ? error.code : undefined
  // The virtual host does not exist or is not ours; amqplib keeps the broker's words to itself.
  if (error.message.startsWith('Expected ConnectionOpenOk'))
    return { code: 'access-denied', retryable: false }
  const inHandshake = /^Handshake terminated by server: (\d{3})/.exec(error.message)?.[1]
  const replyCode = inHandshake === undefined ? code : Number(inHandshake)
  if (typeof replyCode === 'number') {
    // A virtual host that is still being recovered refuses connections for a while, with a code for good.
    if (replyCode === 530 && /is down/.test(error.message))
      return { code: 'connection-failed', retryable: true }
    // A limit of the virtual host, with the code of a mismatch: an operator raises it, or something is deleted.
    if (/\blimit\b.*\breached\b/.test(error.message)) return { code: 'failed', retryable: true }
    const meaning = replyCodes[replyCode]
    if (meaning !== undefined) return meaning
  }
  if (typeof code === 'string' && tlsProblem.test(code))
    return { code: 'connection-failed', retryable: false }
  // What is left are the texts of amqplib for a channel or connection that is gone, and those of the socket.
  return { code: stage === 'connecting' ? 'connection-failed' : 'disconnected', retryable: true }
}

/** The one table: whatever the client or the broker reported, as an error of ours. */
export function toDriverError(
  thrown: unknown,
  what: string,
  { stage = 'working', fate }: { readonly stage?: Stage; readonly fate?: Fate } = {},
): MessagingError {
  if (MessagingError.is(thrown)) return thrown
  const error = toError(thrown)
  const { code, retryable } = meaningOf(error, stage)
  if (code === 'access-denied' && stage === 'working') {
    return missingRights({ what, broker: 'RabbitMQ', reason: error.message, cause: thrown })
  }
  return new MessagingError(code, `${what}: ${error.message}`, {
    retryable,
    cause: thrown,
    ...(fate !== undefined && { fate }),
  })
}

/** Why a connection could not be made, in the words that all adapters share. */
export function toConnectError(
  thrown: unknown,
  { address, settings }: { readonly address: string; readonly settings: RabbitmqSettings },
): MessagingError {
  const error = toError(thrown)
  const { virtualHost, authentication } = settings
  const user = authentication === 'external' ? undefined : (settings.username ?? 'guest')
  const peer = { broker: 'RabbitMQ', address, cause: thrown }
  const { code, retryable } = meaningOf(error, 'connecting')
  if (code === 'access-denied' && error.message.startsWith('Handshake terminated')) {
    return refusedCredentials({ ...peer, user })
  }
  if (code === 'access-denied') {
    const grant = 'it to the user (`rabbitmqctl set_permissions -p VHOST USER …`) if it exists, or create it'
    const what = `Opening virtual host "${virtualHost}"`
    return missingRights({ ...peer, what, user, reason: error.message, grant })
  }
  // OpenSSL ends its lines.
  const reason = error.message.trim()
  if (!retryable) return tlsFailed({ ...peer, isOurs: true, reason, secureScheme: 'amqps' })
  const isOurs = settings.tls !== undefined
  const isRetryable = isHangUp(error)
  if (isRetryable || (!isOurs && isForeignFrame(error))) {
    // A broker that is starting, or a proxy without one, hangs up in the same way.
    return tlsFailed({ ...peer, isOurs, reason, secureScheme: 'amqps', retryable: isRetryable })
  }
  return unreachable({ ...peer, reason })
}

function isForeignFrame({ message }: Error): boolean {
  return /^Invalid frame|^Unexpected frame|^Expected ConnectionStart/.test(message)
}

/**
 * What comes of TLS on one side only: amqplib's words for a TLS alert, which is shorter than a frame, and Node's for a peer
 * that hangs up on a TLS greeting.
 */
function isHangUp({ message }: Error): boolean {
  return /^Socket closed abruptly during opening|before secure TLS connection was established$/.test(message)
}

/** The reply code with which the broker closed a channel, of an error as it came. */
export function replyCodeOf(thrown: unknown): number | undefined {
  const cause = MessagingError.is(thrown) ? thrown.cause : thrown
  const code: unknown =
    typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  return typeof code === 'number' ? code : undefined
}

/** What a publish tells of itself when the broker closed the channel over one of several under way. */
export function toPublishError(thrown: unknown, exchange: string, bodyBytes: number): MessagingError {
  const what = `Publishing to ${exchange === '' ? 'a queue' : `exchange ${exchange}`} failed`
  const error = toDriverError(thrown, what)
  const { message } = error
  const limit = /larger than configured max size (\d+)/.exec(message)?.[1]
  if (limit !== undefined && bodyBytes > Number(limit)) {
    return new MessagingError('too-large', message, { cause: thrown, fate: 'not-sent' })
  }
  const isAbout = message.includes(`exchange '${exchange}'`)
  if (isAbout && (error.code === 'topology-missing' || error.code === 'access-denied')) {
    return new MessagingError(error.code, message, {
      cause: thrown,
      fate: 'not-sent',
      retryable: error.retryable,
    })
  }
  // The channel went down over somebody else's message, or with its connection.
  const loss = `${what}: ${toError(thrown).message}`
  return new MessagingError('disconnected', loss, { cause: thrown, fate: 'unknown', retryable: true })
}

/** Of an existing queue that cannot be a group's. */
export function streamRefused(queue: string): MessagingError {
  return new MessagingError(
    'unsupported',
    `Queue ${queue} is a stream: what a consumer gives back there is lost. Name a quorum queue instead, or bind your own queue to the stream's exchange`,
  )
}
