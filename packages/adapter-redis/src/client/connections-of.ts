import { Cluster } from 'ioredis'
import type { Client } from './make-client.ts'
import { subscriberOf } from './subscriber-of.ts'

/** Whether the client has several connections. */
export function isCluster(client: Client): boolean {
  return client instanceof Cluster
}

/** A client and all its connections: a cluster client emits `end` before the connections to its nodes do. */
export function connectionsOf(client: Client): readonly Client[] {
  if (!(client instanceof Cluster)) return [client]
  return [client, ...client.nodes('all'), subscriberOf(client) ?? client]
}
