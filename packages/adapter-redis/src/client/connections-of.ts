import { Cluster } from 'ioredis'
import type { Client } from './make-client.ts'
import { subscriberOf } from './subscriber-of.ts'

/** Whether one client is many connections. */
export function isCluster(client: Client): boolean {
  return client instanceof Cluster
}

/** A client and all that it consists of: a cluster has ended before the connections to its nodes have. */
export function connectionsOf(client: Client): readonly Client[] {
  if (!(client instanceof Cluster)) return [client]
  return [client, ...client.nodes('all'), subscriberOf(client) ?? client]
}
