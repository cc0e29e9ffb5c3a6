import type { BrokerDefinition } from './definition.ts'
import { exchange } from './exchange.ts'

/** Nothing is lost over a restart, nothing evicted; `appendfsync` is Redis' own default. */
const DURABLE: Readonly<Record<string, string>> = {
  dir: '/data',
  appendonly: 'yes',
  appendfsync: 'everysec',
  save: '',
  'maxmemory-policy': 'noeviction',
  // The official image's build turns it off; without that, only the container itself could connect.
  'protected-mode': 'no',
}

export const redis: BrokerDefinition = {
  ...definition('redis-server'),
  recipe: 'redis',
  officialImage: 'redis:8',
  imageVariable: 'WAYBILL_REDIS_IMAGE',
  urlVariable: 'WAYBILL_REDIS_URL',
}

/** The fork that went its own way after Redis 7.2: a second opinion on what the Redis adapter relies on. */
export const valkey: BrokerDefinition = {
  ...definition('valkey-server'),
  recipe: 'valkey',
  officialImage: 'valkey/valkey:8',
  imageVariable: 'WAYBILL_VALKEY_IMAGE',
  urlVariable: 'WAYBILL_VALKEY_URL',
}

function definition(
  server: string,
): Pick<BrokerDefinition, 'proxyListeners' | 'defaultPort' | 'url' | 'plan' | 'probe'> {
  return {
    proxyListeners: 0,
    defaultPort: 6379,
    url: (host, port) => `redis://${host}:${port}`,
    plan: ({ port, configuration }) => ({
      ports: [{ container: 6379, host: port }],
      command: [
        server,
        ...Object.entries({ ...DURABLE, ...configuration }).flatMap(([key, value]) => [`--${key}`, value]),
      ],
    }),
    async probe(host, port) {
      // While the append-only file is read the answer is -LOADING.
      const answer = (await exchange(host, port, Buffer.from('PING\r\n'))).toString('latin1')
      if (!answer.startsWith('+PONG')) throw new Error(answer.trim())
    },
  }
}
