import { type OpenOwn, openOwn } from './redis-own.ts'

/** As `redis-own`, on Valkey. */
export function open(): Promise<OpenOwn> {
  return openOwn('valkey')
}
