/**
 * What went wrong, in terms that do not name the client. A driver on another client library would replace this file and
 * nothing outside of `client/`.
 */
export type Fault =
  /** The broker answered with an error (Kafka protocol guide, "Error Codes"). */
  | { readonly kind: 'refused'; readonly brokerError: string }
  | {
      readonly kind:
        | 'disconnected'
        | 'timeout'
        | 'credentials-refused'
        /** A codec that is not registered. */
        | 'unknown-compression'
        | 'other'
    }

/** Why a TLS handshake failed. `cut-short`: the other side hung up, as a port without TLS does, or a broker that starts. */
export type HandshakeFault = 'refused' | 'cut-short'

/** kafkajs's own errors by their names. */
const kinds: Readonly<Record<string, Exclude<Fault['kind'], 'refused'>>> = {
  KafkaJSConnectionError: 'disconnected',
  KafkaJSConnectionClosedError: 'disconnected',
  KafkaJSBrokerNotFound: 'disconnected',
  KafkaJSNoBrokerAvailableError: 'disconnected',
  KafkaJSGroupCoordinatorNotFound: 'disconnected',
  KafkaJSMetadataNotLoaded: 'disconnected',
  KafkaJSTopicMetadataNotLoaded: 'disconnected',
  KafkaJSLockTimeout: 'disconnected',
  KafkaJSRequestTimeoutError: 'timeout',
  KafkaJSTimeout: 'timeout',
  KafkaJSSASLAuthenticationError: 'credentials-refused',
  KafkaJSNotImplemented: 'unknown-compression',
}

const handshakeRefused = /certificate|self.signed|ssl routines|tlsv1/i
const handshakeCutShort = /before secure TLS connection was established/

/** What happened, whatever kafkajs wrapped it in. */
export function faultOf(thrown: unknown): Fault {
  const brokerError = brokerErrorOf(thrown)
  if (brokerError !== undefined) return { kind: 'refused', brokerError }
  for (const { name } of chain(thrown).reverse()) {
    const kind = kinds[name]
    if (kind !== undefined) return { kind }
  }
  return { kind: 'other' }
}

/** The broker's name for the error, such as `UNKNOWN_MEMBER_ID`. */
export function brokerErrorOf(thrown: unknown): string | undefined {
  for (const error of chain(thrown)) {
    const type: unknown = 'type' in error ? error.type : undefined
    if (typeof type === 'string') return type
  }
  return undefined
}

/** Of a request that is about several things: the broker's name for each error, undefined where it has none. */
export function brokerErrorsOf(thrown: unknown): readonly (string | undefined)[] {
  const parts = thrown instanceof Error ? partsOf(thrown) : []
  return parts.length === 0 ? [brokerErrorOf(thrown)] : parts.map(brokerErrorOf)
}

/** Undefined when the handshake is not to blame. */
export function handshakeFaultOf(thrown: unknown): HandshakeFault | undefined {
  const messages = chain(thrown).map(({ message }) => message)
  if (messages.some((message) => handshakeRefused.test(message))) return 'refused'
  return messages.some((message) => handshakeCutShort.test(message)) ? 'cut-short' : undefined
}

/** Causes, the outermost first: kafkajs wraps what it gave up on. */
function chain(thrown: unknown): Error[] {
  const errors: Error[] = []
  for (let error: unknown = thrown; error instanceof Error && errors.length < 8; error = error.cause) {
    errors.push(error)
    const [first] = partsOf(error)
    if (first instanceof Error) errors.push(first)
  }
  return errors
}

/** Several errors in one: one for each topic (`errors`), or one for each group (`groups`). */
function partsOf(error: Error): readonly unknown[] {
  if ('errors' in error && Array.isArray(error.errors)) return error.errors
  if ('groups' in error && Array.isArray(error.groups)) return error.groups.map(errorOfGroup)
  return []
}

function errorOfGroup(group: unknown): unknown {
  return typeof group === 'object' && group !== null && 'error' in group ? group.error : undefined
}
