import { Cluster } from 'ioredis'
import type { Client } from './make-client.ts'

/**
 * Holds back what is sent until the result is called, so that it leaves in one write: ioredis makes one of each command,
 * and the server one turn of its loop.
 */
export function holdWrites(client: Client | undefined): () => void {
  // A cluster's client chooses a connection for each command.
  if (client === undefined || client instanceof Cluster) return () => undefined
  const { stream } = client
  stream?.cork()
  return () => stream?.uncork()
}
