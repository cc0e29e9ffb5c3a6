import { type ErrorCode, type Fate, MessagingError, toError } from '@waybill/core/driver'
import { missingRights, refusedCredentials, tlsFailed, unreachable } from '@waybill/core/driver-kit'
import { faultOf, replyCodeOf as replyCode } from './client/faults.ts'
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

function meaningOf(error: Error, stage: Stage): Meaning {
  const fault = faultOf(error)
  if (fault.kind === 'virtual-host-refused') return { code: 'access-denied', retryable: false }
  if (fault.kind === 'closed-by-broker') {
    // A virtual host that is still recovering refuses connections for a while, with a code that otherwise means a
    // permanent error.
    if (fault.replyCode === 530 && /is down/.test(error.message))
      return { code: 'connection-failed', retryable: true }
    // A limit of the virtual host, reported with the code of a mismatch: it passes when an operator raises it or
    // something is deleted.
    if (/\blimit\b.*\breached\b/.test(error.message)) return { code: 'failed', retryable: true }
    const meaning = replyCodes[fault.replyCode]
    if (meaning !== undefined) return meaning
  }
  if (fault.kind === 'tls-refused') return { code: 'connection-failed', retryable: false }
  // What is left says that a channel, a connection or the socket is gone.
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
  const fault = faultOf(error)
  if (code === 'access-denied' && fault.kind === 'closed-by-broker' && fault.inHandshake) {
    return refusedCredentials({ ...peer, user })
  }
  if (code === 'access-denied') {
    const grant = 'it to the user (`rabbitmqctl set_permissions -p VHOST USER …`) if it exists, or create it'
    const what = `Opening virtual host "${virtualHost}"`
    return missingRights({ ...peer, what, user, reason: error.message, grant })
  }
  // OpenSSL's messages end in a newline.
  const reason = error.message.trim()
  if (!retryable) return tlsFailed({ ...peer, isOurs: true, reason, secureScheme: 'amqps' })
  if (fault.kind === 'http' || fault.kind === 'other-protocol') {
    const other = fault.kind === 'http' ? 'HTTP, as the management port does' : 'another protocol'
    return unreachable({ ...peer, reason: `what answers there speaks ${other}, and not AMQP` })
  }
  const isOurs = settings.tls !== undefined
  const isRetryable = fault.kind === 'hung-up'
  if (isRetryable || (!isOurs && fault.kind === 'not-amqp')) {
    // A broker that is starting, or a proxy without one, hangs up in the same way.
    return tlsFailed({ ...peer, isOurs, reason, secureScheme: 'amqps', retryable: isRetryable })
  }
  return unreachable({ ...peer, reason })
}

/** The reply code with which the broker closed a channel, of an error as it came. */
export function replyCodeOf(thrown: unknown): number | undefined {
  return replyCode(MessagingError.is(thrown) ? thrown.cause : thrown)
}

/** The error of one publish when the broker closed the channel because of any of those in flight. */
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
  // The channel was closed because of another message, or together with its connection.
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
