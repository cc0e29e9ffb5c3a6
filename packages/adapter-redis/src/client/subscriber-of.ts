import { Cluster, Redis } from 'ioredis'
import type { Client } from './make-client.ts'

/**
 * The connection on which a client hears of channels: its own, or the one that a cluster keeps apart from those to its
 * nodes (ioredis, `ClusterSubscriber`). Undefined when there is none at the moment, or when the internals of the client
 * have changed.
 */
export function subscriberOf(client: Client): Redis | undefined {
  if (!(client instanceof Cluster)) return client
  const keeper: unknown = Reflect.get(client, 'subscriber')
  if (typeof keeper !== 'object' || keeper === null) return undefined
  const subscriber: unknown = Reflect.get(keeper, 'subscriber')
  return subscriber instanceof Redis ? subscriber : undefined
}
