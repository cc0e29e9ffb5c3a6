import type { Section } from '../../case/case.ts'
import { redisSections } from '../redis/index.ts'
import { type OpenServer, openServer } from './redis.ts'

export interface OpenOwn extends OpenServer {
  readonly sections: readonly Section[]
}

/** What the Redis adapter promises beyond the contract, instead of the contract. */
export function open(): Promise<OpenOwn> {
  return openOwn('redis')
}

export async function openOwn(name: 'redis' | 'valkey'): Promise<OpenOwn> {
  const { harness, broker, close } = await openServer(name)
  const sections = redisSections(broker)
  return { harness: { ...harness, name: `${name}-own` }, broker, sections, close }
}
