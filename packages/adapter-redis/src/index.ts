import type { Adapter } from '@waybill/core/driver'
import { RedisDriver } from './driver.ts'

import type { RedisOptions } from './options.ts'

export { type RedisIdempotencyStore, redisIdempotencyStore } from './idempotency/idempotency.ts'
export type {
  RedisDurability,
  RedisMirror,
  RedisOptions,
  RedisRetention,
  RedisSentinelOptions,
  RedisTlsOptions,
  RedisTopicOptions,
} from './options.ts'

/** Redis Streams: `redis:` and `rediss:` URLs. Core loads it by the URL's scheme. */
export const adapter: Adapter = {
  name: 'redis',
  schemes: ['redis', 'rediss'],
  contractVersion: 1,
  connect: (url, context) => RedisDriver.connect(url, context),
}

declare module '@waybill/core' {
  interface NativeOptions {
    readonly redis?: RedisOptions
  }
  interface NativeClients {
    readonly redis: ReturnType<RedisDriver['native']>
  }
}
