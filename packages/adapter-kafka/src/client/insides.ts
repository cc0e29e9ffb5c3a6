import type { Socket } from 'node:net'
import type { Kafka } from 'kafkajs'

export interface Address {
  readonly host: string
  readonly port: number
}

/** A broker of kafkajs: what we use of it that its types do not list. */
export interface BrokerInside {
  readonly connectionPool: { readonly pool: readonly ConnectionInside[] }
  lookupRequest: LookupRequest
}

export type LookupRequest = (apiKey: number, definition: unknown) => (options: unknown) => ProtocolRequest

/** A request of kafkajs, and what decodes the answer. */
export interface ProtocolRequest {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    encode(): Promise<{ readonly buffer: Buffer }>
  }
  readonly response: { decode(answer: Buffer): Promise<unknown> }
}

/** A connection to a broker, which is connected again when it was lost. */
export interface ConnectionInside {
  connectionStatus: string
  socket?: Socket
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  connect(): Promise<boolean>
  readonly requestQueue: RequestQueueInside
}

export interface RequestQueueInside {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

export interface Reach {
  /** Each broker the client makes, before it is used. */
  readonly onBroker: (broker: BrokerInside) => void
  /** The address to try first; called again when it cannot be reached. */
  readonly nextAddress: () => Address
}

interface PoolBuilder {
  build(destination?: Partial<Address>): Promise<unknown>
}

interface ClusterInside {
  readonly connectionPoolBuilder: PoolBuilder
  readonly brokerPool: { createBroker(options: object): unknown }
}

/** The name in kafkajs 2.2.4 of the function with which a client creates its clusters. */
const createCluster = 'private:Kafka:createCluster'

/**
 * Gives access to the objects that kafkajs creates for this one client; other users of kafkajs in the process are not
 * affected. Throws when the internals of kafkajs are not as expected.
 */
export function reachInto(kafka: Kafka, { onBroker, nextAddress }: Reach): void {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === createCluster)
  const create: unknown = symbol && Reflect.get(kafka, symbol)
  if (symbol === undefined || typeof create !== 'function') throw new Error('it makes its clusters otherwise')
  Reflect.set(kafka, symbol, (options: object): unknown => {
    const cluster: unknown = Reflect.apply(create, kafka, [options])
    if (!isCluster(cluster)) return cluster
    const { connectionPoolBuilder, brokerPool } = cluster
    const { build } = connectionPoolBuilder
    // kafkajs cuts addresses at the first colon, which leaves nothing of an IPv6 address.
    connectionPoolBuilder.build = (destination = {}) =>
      build(destination.host === undefined ? nextAddress() : destination)
    const { createBroker } = brokerPool
    brokerPool.createBroker = (given) => {
      const broker = createBroker(given)
      if (isBroker(broker)) onBroker(broker)
      return broker
    }
    return cluster
  })
}

function has<Name extends string>(value: unknown, ...names: readonly Name[]): value is Record<Name, unknown> {
  return typeof value === 'object' && value !== null && names.every((name) => name in value)
}

function isCluster(value: unknown): value is ClusterInside {
  return (
    has(value, 'connectionPoolBuilder', 'brokerPool') &&
    has(value.connectionPoolBuilder, 'build') &&
    has(value.brokerPool, 'createBroker')
  )
}

function isBroker(value: unknown): value is BrokerInside {
  return (
    has(value, 'lookupRequest', 'connectionPool') &&
    has(value.connectionPool, 'pool') &&
    Array.isArray(value.connectionPool.pool) &&
    value.connectionPool.pool.every(isConnection)
  )
}

function isConnection(value: unknown): value is ConnectionInside {
  return (
    has(value, 'connectionStatus', 'chunks', 'bytesBuffered', 'bytesNeeded', 'connect', 'requestQueue') &&
    has(value.requestQueue, 'pending', 'scheduleCheckPendingRequests')
  )
}
