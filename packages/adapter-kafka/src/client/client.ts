import type { Kafka, KafkaConfig, RetryOptions } from 'kafkajs'
import type { Settings } from '../options.ts'
import { connectAfresh, quietenRequestQueues } from './client-faults.ts'
import { registerCodecs } from './codecs.ts'
import { installFastRecords } from './fast-records.ts'
import { kafkajs } from './kafkajs.ts'
import { Sockets } from './sockets.ts'

/** One kafkajs client and the sockets it opened. */
export interface Client {
  readonly kafka: Kafka
  readonly sockets: Sockets
}

/**
 * Each use gets a client of its own: kafkajs keeps the committed offsets of all consumers of a client in one place, where
 * two members of one group would overwrite each other's. A client without connections is only an object.
 */
export function createClient(settings: Settings, instance: string, retry: RetryOptions): Client {
  quietenRequestQueues()
  connectAfresh()
  installFastRecords()
  registerCodecs()
  const { brokers, tls, sasl, clientId, connectTimeout, requestTimeout } = settings
  const sockets = new Sockets()
  const config: KafkaConfig = {
    brokers: [...brokers],
    clientId: `${clientId}-${instance}`,
    connectionTimeout: connectTimeout,
    authenticationTimeout: requestTimeout,
    requestTimeout,
    retry,
    ssl: typeof tls === 'boolean' ? tls : withoutUndefined(tls),
    socketFactory: sockets.factory,
    // What the client would log reaches the application as rejections and events.
    logLevel: kafkajs.logLevel.NOTHING,
    ...(sasl !== undefined && { sasl }),
  }
  return { kafka: new kafkajs.Kafka(config), sockets }
}

function withoutUndefined<Values extends object>(values: Values): Values {
  for (const name in values) if (values[name] === undefined) delete values[name]
  return values
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
