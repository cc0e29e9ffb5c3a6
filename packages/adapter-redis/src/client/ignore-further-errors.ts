import { EventEmitter } from 'node:events'
import type { Client } from './make-client.ts'

/**
 * ioredis listens to the first error of a socket only. A second one, such as an alert that a server sends after our side
 * refused its certificate, would end the process.
 */
export function ignoreFurtherErrors(client: Client): void {
  const stream: unknown = Reflect.get(client, 'stream')
  if (stream instanceof EventEmitter && stream.listenerCount('error') === 0)
    stream.on('error', () => undefined)
}
