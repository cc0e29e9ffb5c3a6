import { toError } from '@waybill/core/driver'
import type { Kafka, KafkaConfig, RetryOptions } from 'kafkajs'
import type { KafkaSettings } from '../options.ts'
import { registerCodecs } from './codecs.ts'
import { mendConnection } from './connection-faults.ts'
import { reachInto } from './insides.ts'
import { kafkajs } from './kafkajs.ts'
import { codeOurselves } from './own-protocol.ts'
import { Sockets } from './sockets.ts'

/** One kafkajs client and the sockets it opened. */
export interface Client {
  readonly kafka: Kafka
  readonly sockets: Sockets
}

export interface ClientOptions {
  readonly settings: KafkaSettings
  readonly instance: string
  readonly retry: RetryOptions
  /** Called when the internals of kafkajs are not as expected and it is used unchanged. */
  readonly warn: (message: string) => void
}

/**
 * Each use gets a client of its own: kafkajs keeps the committed offsets of all consumers of a client in one place, where
 * two members of one group would overwrite each other's. A client without connections is only an object.
 */
export function createClient({ settings, instance, retry, warn }: ClientOptions): Client {
  registerCodecs()
  const { addresses, tls, sasl, clientId, connectTimeout, requestTimeout } = settings
  const sockets = new Sockets(connectTimeout)
  const config: KafkaConfig = {
    brokers: addresses.map(({ host, port }) => `${host}:${port}`),
    clientId: `${clientId}-${instance}`,
    // The sockets keep to `connectTimeout`; kafkajs's timer would take a blocked event loop for a broker that does not answer.
    connectionTimeout: 2 * connectTimeout,
    authenticationTimeout: requestTimeout,
    requestTimeout,
    retry,
    ...(tls !== undefined && { ssl: tls }),
    socketFactory: sockets.factory,
    // The application learns of everything that the client would log from rejections and events.
    logLevel: kafkajs.logLevel.NOTHING,
    ...(sasl !== undefined && { sasl }),
  }
  const kafka = new kafkajs.Kafka(config)
  let next = Math.floor(Math.random() * addresses.length)
  try {
    reachInto(kafka, {
      onBroker: (broker) => {
        for (const connection of broker.connectionPool.pool) mendConnection(connection)
        codeOurselves(broker, warn)
      },
      nextAddress: () => {
        next += 1
        return addresses[next % addresses.length] ?? { host: 'localhost', port: 9092 }
      },
    })
  } catch (error) {
    warn(`This version of kafkajs cannot be tuned and is used unchanged: ${toError(error).message}`)
  }
  return { kafka, sockets }
}

/** A bounded wait for a client that may hang: resolves when the work is done or the time over, and never rejects. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  work.then(
    () => resolve(),
    () => resolve(),
  )
  await promise
  clearTimeout(timer)
}
