import { createRequire } from 'node:module'

type ErrorClass = new (...args: readonly unknown[]) => Error

type Name =
  | 'AggregateError'
  | 'ConnectionClosedError'
  | 'ConnectionError'
  | 'CreateTopicError'
  | 'DeleteGroupsError'
  | 'LockTimeout'
  | 'NotImplemented'
  | 'NumberOfRetriesExceeded'
  | 'ProtocolError'
  | 'SASLAuthenticationError'
  | 'Timeout'

/** kafkajs's own errors, some of which its types leave out. */
export const errors: Readonly<Record<`KafkaJS${Name}`, ErrorClass>> = createRequire(import.meta.url)(
  'kafkajs',
)

/** What kafkajs throws when the broker answers with an error of that name. */
export function refusal(type: string): Error {
  const error = Object.assign(new Error(`${type} happened`), { type, code: -1, retriable: false })
  return new errors.KafkaJSProtocolError(error)
}

/** What it throws when no connection can be made, and when one is lost. */
export function unreachable(message = 'connect ECONNREFUSED'): Error {
  return new errors.KafkaJSConnectionError(message, { broker: 'localhost:9092' })
}

export function lost(): Error {
  return new errors.KafkaJSConnectionClosedError('Closed connection', { host: 'localhost', port: 9092 })
}

/** What it throws when the broker does not know the user. */
export function badCredentials(): Error {
  return new errors.KafkaJSSASLAuthenticationError('Authentication failed')
}

/** What it throws when it gives up trying. */
export function exhausted(cause: Error): Error {
  return new errors.KafkaJSNumberOfRetriesExceeded(cause, { retryCount: 5, retryTime: 300 })
}
