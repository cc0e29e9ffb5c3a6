import { randomUUID } from 'node:crypto'
import type { IdempotencyMark, IdempotencyState, IdempotencyStore } from '@waybill/core'
import { parseBrokerUrl, systemClock } from '@waybill/core/driver'
import { makeClient } from '../connection/clients.ts'
import { SharedConnection } from '../connection/connection.ts'
import { parseSettings, type RedisOptions } from '../options.ts'
import { script } from '../scripts/script.ts'
import { asArray, asNumber, asText } from '../wire/reply.ts'

/** A store of marks that holds a connection of its own; close it when its consumers have stopped. */
export interface RedisIdempotencyStore extends IdempotencyStore, AsyncDisposable {
  close(): Promise<void>
}

// A mark is one key: a token while its effect is under way, and this when it is done. Expiry is Redis' own.
const done = 'done'

/** KEYS: mark. ARGV: token, lease. Returns the state, and how long it lasts. */
const begin = script(`
local mark = redis.call('GET', KEYS[1])
if not mark then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return { 'started', 0 }
end
if mark == '${done}' then return { 'done', 0 } end
return { 'processing', redis.call('PTTL', KEYS[1]) }
`)

/** KEYS: mark. ARGV: token, lease. Returns whether the token still owns the mark. */
const extend = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

/** KEYS: mark. ARGV: token, window. */
const complete = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], '${done}', 'PX', ARGV[2]) end
return 1
`)

/** KEYS: mark. ARGV: token. */
const abandon = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`)

/**
 * Remembers in Redis which messages had their effect, for consumers on any broker. The URL and the connection options are
 * those of the adapter; it connects when it is first used, and again after a loss.
 *
 * @throws {ConfigurationError} listing every problem of both.
 */
export function redisIdempotencyStore(url: string, options: RedisOptions = {}): RedisIdempotencyStore {
  const settings = parseSettings(parseBrokerUrl(url), options)
  const shared = new SharedConnection(
    {
      makeClient: () => makeClient(settings, `idempotency-${randomUUID()}`),
      connectTimeoutMs: settings.connectTimeout,
      clock: systemClock,
      scripts: [begin, extend, complete, abandon],
    },
    () => {},
  )
  // Colons stand in names and sources too, so each part tells its length.
  const keyOf = ({ group, source, id }: IdempotencyMark) =>
    `${settings.prefix}:idempotency:${[group, source, id].map((part) => `${part.length}:${part}`).join(':')}`

  return {
    async begin(mark, leaseMs): Promise<IdempotencyState> {
      const token = randomUUID()
      const reply = asArray(await shared.run(begin, [keyOf(mark)], [token, Math.ceil(leaseMs)]))
      const state = asText(reply[0])
      if (state === 'processing') return { state, remainingMs: Math.max(0, asNumber(reply[1])) }
      return state === 'done' ? { state } : { state: 'started', token }
    },
    async extend(mark, token, leaseMs) {
      return asNumber(await shared.run(extend, [keyOf(mark)], [token, Math.ceil(leaseMs)])) === 1
    },
    async complete(mark, token, windowMs) {
      await shared.run(complete, [keyOf(mark)], [token, Math.ceil(windowMs)])
    },
    async abandon(mark, token) {
      await shared.run(abandon, [keyOf(mark)], [token])
    },
    close: () => shared.close(),
    [Symbol.asyncDispose]: () => shared.close(),
  }
}
