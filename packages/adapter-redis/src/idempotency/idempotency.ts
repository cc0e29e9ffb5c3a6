import { randomUUID } from 'node:crypto'
import type { IdempotencyMark, IdempotencyState, IdempotencyStore } from '@waybill/core'
import { parseBrokerUrl, systemClock } from '@waybill/core/driver'
import { makeClient } from '../client/make-client.ts'
import { SharedConnection } from '../connection/shared-connection.ts'
import { toConnectError } from '../errors.ts'
import { parseRedisOptions, type RedisOptions } from '../options.ts'
import { markScripts } from '../scripts/script.ts'
import { connectionName } from '../wire/names.ts'
import { asNumber, asText } from '../wire/reply.ts'

/** An idempotency store with a connection of its own; close it when its consumers have stopped. */
export interface RedisIdempotencyStore extends IdempotencyStore, AsyncDisposable {
  close(): Promise<void>
}

// A mark is one key: a token while its effect is under way, and this when it is done. Expiry is Redis' own.
const done = 'done'

/**
 * Remembers in Redis which messages had their effect, for consumers on any broker. The URL and the connection options are
 * those of the adapter. It connects when it is first used, and again after a loss.
 *
 * ```ts
 * await using store = redisIdempotencyStore('redis://localhost')
 * bus.consumer('billing', { idempotency: { store, window: '7d' } }).on(OrderPlaced, ({ data }) => charge(data))
 * ```
 *
 * @throws {ConfigurationError} listing every problem of both.
 */
export function redisIdempotencyStore(url: string, options: RedisOptions = {}): RedisIdempotencyStore {
  const settings = parseRedisOptions(parseBrokerUrl(url), options)
  const shared = new SharedConnection(
    {
      makeClient: () => makeClient(settings, connectionName(`idempotency-${randomUUID()}`)),
      explain: (error) => toConnectError(error, settings),
      connectTimeoutMs: settings.connectTimeout,
      clock: systemClock,
      database: settings.database,
      scripts: markScripts,
    },
    () => {},
  )
  // Colons stand in names and sources too, so each part tells its length.
  const keyOf = ({ group, topic, type, source, id }: IdempotencyMark) =>
    `${settings.prefix}:idempotency:${[group, topic, type, source, id].map((part) => `${part.length}:${part}`).join(':')}`

  const run = (name: (typeof markScripts)[number], mark: IdempotencyMark, args: object) =>
    shared.run(name, { keys: { mark: keyOf(mark) }, args: { ...args, done } })

  return {
    async begin(mark, leaseMs): Promise<IdempotencyState> {
      const token = randomUUID()
      const { fields } = await run('markBegin', mark, { token, leaseMs: Math.ceil(leaseMs) })
      const state = asText(fields.state)
      if (state === 'processing') return { state, remainingMs: Math.max(0, asNumber(fields.remainingMs)) }
      return state === 'done' ? { state } : { state: 'started', token }
    },
    async extend(mark, token, leaseMs) {
      const { fields } = await run('markExtend', mark, { token, leaseMs: Math.ceil(leaseMs) })
      return fields.isOurs === true
    },
    async complete(mark, token, windowMs) {
      await run('markComplete', mark, { token, windowMs: Math.ceil(windowMs) })
    },
    async abandon(mark, token) {
      await run('markAbandon', mark, { token })
    },
    close: () => shared.close(),
    [Symbol.asyncDispose]: () => shared.close(),
  }
}
