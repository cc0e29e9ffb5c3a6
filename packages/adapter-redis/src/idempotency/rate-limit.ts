import { randomUUID } from 'node:crypto'
import type { RateLimitStore } from '@waybill/core'
import { parseBrokerUrl, systemClock } from '@waybill/core/driver'
import { makeClient } from '../client/make-client.ts'
import { SharedConnection } from '../connection/shared-connection.ts'
import { toConnectError } from '../errors.ts'
import { parseRedisOptions, type RedisOptions } from '../options.ts'
import { rateLimitScripts } from '../scripts/script.ts'
import { connectionName } from '../wire/names.ts'
import { asNumber } from '../wire/reply.ts'

/** A rate limit store with a connection of its own; close it when its consumers have stopped. */
export interface RedisRateLimitStore extends RateLimitStore, AsyncDisposable {
  take(take: Parameters<RateLimitStore['take']>[0]): Promise<number>
  close(): Promise<void>
}

/**
 * Counts in Redis what rate limits have let through, for all members of a group, on any broker. Time is the server's. The URL
 * and the connection options are those of the adapter. It connects when it is first used, and again after a loss.
 *
 * ```ts
 * await using store = redisRateLimitStore('redis://localhost')
 * bus.consumer('billing').on(OrderPlaced, ({ data }) => charge(data), { rateLimit: { max: 50, per: '1s', store } })
 * ```
 *
 * @throws {ConfigurationError} listing every problem of both.
 */
export function redisRateLimitStore(url: string, options: RedisOptions = {}): RedisRateLimitStore {
  const settings = parseRedisOptions(parseBrokerUrl(url), options)
  const shared = new SharedConnection(
    {
      makeClient: () => makeClient(settings, connectionName(`rate-limit-${randomUUID()}`)),
      explain: (error) => toConnectError(error, settings),
      connectTimeoutMs: settings.connectTimeout,
      clock: systemClock,
      database: settings.database,
      scripts: rateLimitScripts,
    },
    () => {},
  )
  return {
    async take({ name, key, max, perMs }) {
      // The length, so that no name and key together look like others.
      const keys = { times: `${settings.prefix}:rate-limit:${name.length}:${name}${key}` }
      const { fields } = await shared.run('rateLimitTake', { keys, args: { max, perMs } })
      return asNumber(fields.waitMs)
    },
    close: () => shared.close(),
    [Symbol.asyncDispose]: () => shared.close(),
  }
}
