import type { Adapter } from '@waybill/core/driver'
import { RedisDriver } from './driver.ts'
import { parseRedisOptions, type RedisOptions } from './options.ts'

export { type RedisIdempotencyStore, redisIdempotencyStore } from './idempotency/idempotency.ts'
export { type RedisRateLimitStore, redisRateLimitStore } from './idempotency/rate-limit.ts'
export type {
  RedisCredentials,
  RedisDeadLetterRetention,
  RedisDurability,
  RedisMirror,
  RedisOptions,
  RedisRetention,
  RedisSentinelOptions,
  RedisTopicOptions,
} from './options.ts'

/**
 * Redis Streams: `redis:` and `rediss:` URLs. Core loads it by the URL's scheme.
 *
 * ```ts
 * const bus = await connect({ url: 'redis://localhost' })
 * ```
 */
export const adapter: Adapter = {
  name: 'redis',
  schemes: ['redis', 'rediss'],
  contractVersion: 1,
  connect: async (url, context) => RedisDriver.open(parseRedisOptions(url, context.native), context),
}

declare module '@waybill/core' {
  interface NativeOptions {
    readonly redis?: RedisOptions
  }
  interface NativeClients {
    readonly redis: ReturnType<RedisDriver['native']>
  }
}
