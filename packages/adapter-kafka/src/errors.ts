import { type ErrorCode, type Fate, MessagingError, toError } from '@waybill/core/driver'
import { missingRights, refusedCredentials, tlsFailed, unreachable } from '@waybill/core/driver-kit'
import { brokerErrorOf, type Fault, faultOf, handshakeFaultOf } from './client/faults.ts'
import type { KafkaSettings } from './options.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
  /** The broker answered that it did not take the message. */
  readonly refused?: true
  /** It refuses whole batches for the sake of single messages: sent apart, the others go through. */
  readonly isOfSingles?: true
}

const gone: Meaning = { code: 'disconnected', retryable: true }
const missing: Meaning = { code: 'topology-missing', retryable: false, refused: true }
const denied: Meaning = { code: 'access-denied', retryable: false, refused: true }
const tooLarge: Meaning = { code: 'too-large', retryable: false, refused: true, isOfSingles: true }
const passing: Meaning = { code: 'failed', retryable: true }
const invalid: Meaning = { code: 'rejected', retryable: false, refused: true }

/** Error codes of the broker by their names (Kafka protocol guide, "Error Codes"). */
const brokerErrors: Readonly<Record<string, Meaning>> = {
  UNKNOWN_TOPIC_OR_PARTITION: missing,
  INVALID_TOPIC_EXCEPTION: invalid,
  MESSAGE_TOO_LARGE: tooLarge,
  RECORD_LIST_TOO_LARGE: tooLarge,
  // A record without key on a compacted topic, for example.
  INVALID_RECORD: { ...invalid, isOfSingles: true },
  POLICY_VIOLATION: invalid,
  INVALID_CONFIG: invalid,
  INVALID_PARTITIONS: invalid,
  INVALID_REPLICATION_FACTOR: invalid,
  UNSUPPORTED_COMPRESSION_TYPE: invalid,
  TOPIC_AUTHORIZATION_FAILED: denied,
  GROUP_AUTHORIZATION_FAILED: denied,
  CLUSTER_AUTHORIZATION_FAILED: denied,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: denied,
  SASL_AUTHENTICATION_FAILED: denied,
  UNSUPPORTED_SASL_MECHANISM: denied,
  ILLEGAL_SASL_STATE: denied,
  NOT_ENOUGH_REPLICAS: { code: 'rejected', retryable: true, refused: true },
  // The leader has it, the replicas do not: it may stay.
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: { code: 'rejected', retryable: true },
  THROTTLING_QUOTA_EXCEEDED: { code: 'throttled', retryable: true, refused: true },
  REQUEST_TIMED_OUT: { code: 'timeout', retryable: true },
  GROUP_COORDINATOR_NOT_AVAILABLE: gone,
  NOT_COORDINATOR_FOR_GROUP: gone,
  LEADER_NOT_AVAILABLE: gone,
  NOT_LEADER_FOR_PARTITION: gone,
  BROKER_NOT_AVAILABLE: gone,
  NETWORK_EXCEPTION: gone,
  UNSUPPORTED_VERSION: { code: 'unsupported', retryable: false },
  CLUSTER_ID_MISMATCH: { code: 'failed', retryable: false },
  GROUP_MAX_SIZE_REACHED: invalid,
  INVALID_SESSION_TIMEOUT: { code: 'invalid-options', retryable: false },
  INCONSISTENT_GROUP_PROTOCOL: { code: 'topology-mismatch', retryable: true },
}

/** What went wrong on the way, by its kind. */
const otherFaults: Readonly<Record<Exclude<Fault['kind'], 'refused'>, Meaning>> = {
  disconnected: gone,
  timeout: { code: 'timeout', retryable: true },
  'credentials-refused': denied,
  'unknown-compression': { code: 'unsupported', retryable: false },
  other: passing,
}

function meaningOf(thrown: unknown): Meaning {
  const fault = faultOf(thrown)
  return fault.kind === 'refused' ? (brokerErrors[fault.brokerError] ?? passing) : otherFaults[fault.kind]
}

/** The one table: whatever the client or the broker reported, as an error of ours. */
export function toDriverError(thrown: unknown, what: string): MessagingError {
  if (MessagingError.is(thrown)) return thrown
  const { code, retryable } = meaningOf(thrown)
  if (isForbidden(thrown)) return forbidden(thrown, what)
  return new MessagingError(code, `${what}: ${toError(thrown).message}`, { retryable, cause: thrown })
}

/** Whether the broker knows who we are, and does not allow it. */
function isForbidden(thrown: unknown): boolean {
  return /_AUTHORIZATION_FAILED$/.test(brokerErrorOf(thrown) ?? '')
}

function forbidden(thrown: unknown, what: string): MessagingError {
  return missingRights({ what, broker: 'Kafka', reason: toError(thrown).message, cause: thrown })
}

/** Whether a refused batch is to be divided: for no other reason would its parts fare better than the whole. */
export function isOfSingles(error: MessagingError): boolean {
  return meaningOf(error.cause).isOfSingles === true
}

/** The same for a connection that could not be made. */
export function toConnectError(error: unknown, { addresses, tls, sasl }: KafkaSettings): MessagingError {
  const thrown = MessagingError.is(error) && error.cause instanceof Error ? error.cause : error
  if (MessagingError.is(thrown)) return thrown
  const { code, retryable } = meaningOf(thrown)
  const reason = toError(thrown).message
  const address = addresses.map(({ host, port }) => `${host}:${port}`).join(', ')
  const peer = { broker: 'Kafka', address, cause: thrown }
  if (code === 'access-denied') {
    return refusedCredentials({
      ...peer,
      user: sasl !== undefined && 'username' in sasl ? sasl.username : undefined,
    })
  }
  const handshake = handshakeFaultOf(thrown)
  // A certificate that will not do today will not do tomorrow either.
  if (handshake === 'refused') {
    return tlsFailed({ ...peer, isOurs: tls !== undefined, reason, secureScheme: 'kafka+ssl' })
  }
  if (tls !== undefined && handshake === 'cut-short') {
    return tlsFailed({ ...peer, isOurs: true, reason, secureScheme: 'kafka+ssl', retryable: true })
  }
  if (code === 'disconnected' || code === 'timeout' || code === 'failed')
    return unreachable({ ...peer, reason })
  return new MessagingError(code, `Connecting to Kafka at ${address} failed: ${reason}`, {
    retryable,
    cause: thrown,
  })
}

/** The same for messages under way, with what is known of them. `attempted`: the broker may have got them. */
export function toPublishError(thrown: unknown, topic: string, attempted: boolean): MessagingError {
  if (isForbidden(thrown)) return forbidden(thrown, `Producing to topic ${topic}`)
  const { code, retryable, refused } = meaningOf(thrown)
  const fate: Fate = refused || !attempted ? 'not-sent' : 'unknown'
  return new MessagingError(code, `Producing to topic ${topic} failed: ${toError(thrown).message}`, {
    retryable,
    cause: thrown,
    fate,
  })
}
