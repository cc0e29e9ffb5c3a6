import type { BrokerUrl, Duration, TopicSpec } from '@waybill/core/driver'
import { parseOptions } from '@waybill/core/driver'
import {
  asFlag,
  asText,
  durationOption,
  parseConnectionOptions,
  type TlsOptions,
  tlsOption,
} from '@waybill/core/driver-kit'
import { z } from 'zod'

/** Settings of the Redis adapter: `connect({ native: { redis: … } })`. */
export interface RedisOptions {
  /** Put before every key and channel. Default: `waybill`. */
  readonly prefix?: string
  /** TLS settings beyond what `rediss:` implies; with `redis:`, they turn TLS on. */
  readonly tls?: boolean | TlsOptions
  /**
   * Asked for each new connection, instead of a user and password in the URL: for passwords that change, such as the
   * tokens of cloud providers.
   *
   * @example credentials: async () => ({ username: 'app', password: await newToken() })
   */
  readonly credentials?: () => Promise<RedisCredentials>
  /**
   * Turns the name of a host into an address. Default: the system's resolver; over TLS to a cluster, names are kept as
   * they are, because certificates bear names.
   */
  readonly dnsLookup?: (host: string) => Promise<string>
  /** The URL's hosts are Sentinels, which are asked for the master of this name. */
  readonly sentinel?: RedisSentinelOptions
  /** The URL's hosts are nodes of a Redis Cluster. Default: false. */
  readonly cluster?: boolean
  /** Addresses that Sentinels or cluster nodes announce, as `host:port`, and where to reach them instead. */
  readonly natMap?: Readonly<Record<string, { readonly host: string; readonly port: number }>>
  /** How long opening one connection may take. Default: 10 s. */
  readonly connectTimeout?: Duration
  /** How long the server may take to answer; after that the connection counts as lost. Default: 10 s. */
  readonly requestTimeout?: Duration
  /**
   * How often an idle consumer asks for what no notification told it of: entries of foreign producers, members that
   * died. Below `requestTimeout`. Default: 1.5 s.
   */
  readonly pollInterval?: Duration
  /** The largest message in bytes, headers included. Default: 16 MiB. */
  readonly maxMessageBytes?: number
  /** How much of what every group has settled is kept, for topics that do not say otherwise. */
  readonly retention?: RedisRetention
  /** For so long, a second message with the same source and id is dropped by the broker. Default: off. */
  readonly deduplication?: Duration
  /** A send resolves only after this much of Redis has the message. Default: the master's memory alone. */
  readonly durability?: RedisDurability
  /**
   * Which CloudEvents attributes are repeated in a field `ce` of each entry: id, source, type and specversion, or all, or
   * none. The body has them all. Default: `none`, since no binding of CloudEvents names fields for streams.
   */
  readonly mirrorAttributes?: RedisMirror
}

export type RedisMirror = 'required' | 'all' | 'none'

export interface RedisCredentials {
  readonly username?: string | undefined
  readonly password?: string | undefined
}

export interface RedisSentinelOptions {
  /** The name the Sentinels monitor the master under. */
  readonly name: string
  readonly username?: string
  readonly password?: string
  /** Whether the Sentinels themselves are reached over TLS, with the settings of `tls`. Default: false. */
  readonly tls?: boolean
}

/** Settled entries go when either bound is passed; unsettled ones never do. */
export interface RedisRetention {
  /** The newest settled entries that stay. Default: 10,000. */
  readonly maxLength?: number
  /** Default: no bound. */
  readonly maxAge?: Duration
  /** Each group's dead letters; the oldest beyond a bound are removed for good, with a warning. Default: all stay. */
  readonly deadLetters?: RedisDeadLetterRetention
}

export interface RedisDeadLetterRetention {
  readonly maxLength?: number
  readonly maxAge?: Duration
}

/** Checked with `WAIT` and `WAITAOF` after each batch of sends. Not with a cluster. */
export interface RedisDurability {
  /** Replicas that have the message. Default: 0. */
  readonly replicas?: number
  /** Whether the append-only files, of the master and of those replicas, are on disk. Default: false. */
  readonly appendOnly?: boolean
  /** How long to wait for that before the send is tried again. Below `requestTimeout`. Default: 2 s. */
  readonly timeout?: Duration
}

/** Settings of one topic: `defineTopic(name, { native: { redis: … } })`. */
export interface RedisTopicOptions {
  /**
   * `stream`: kept, at least once. `notices`: plain Pub/Sub, at most once: only broadcast consumers that are connected
   * at that moment get the message, nothing is kept and nothing comes back. Default: `stream`.
   */
  readonly mode?: 'stream' | 'notices'
  readonly retention?: RedisRetention
  readonly deduplication?: Duration
  readonly durability?: RedisDurability
}

const timeout = () => durationOption({ min: 1 })

const deadLetters = z.strictObject({
  maxLength: z.int().min(0).optional(),
  maxAge: durationOption().optional(),
})

const retention = z.strictObject({
  maxLength: z.int().min(0).default(10_000),
  maxAge: durationOption().optional(),
  deadLetters: deadLetters.prefault({}),
})

const durability = z.strictObject({
  replicas: z.int().min(0).default(0),
  appendOnly: z.boolean().default(false),
  timeout: timeout().default(2000),
})

const aFunction = <Called>() =>
  z.custom<Called>((value) => typeof value === 'function', 'expected a function').optional()

const address = z.strictObject({ host: z.string(), port: z.int().min(1).max(65_535) })

const noWaitInCluster =
  'not supported in a cluster, because WAIT says nothing about the node that a topic is on'
const waitsTooLong = (requestTimeout: number) =>
  `expected less than requestTimeout (${requestTimeout} ms), at which a connection without answers counts as lost`

const optionsSchema = ({ scheme, hosts }: BrokerUrl) =>
  z
    .strictObject({
      prefix: z.string().min(1).default('waybill'),
      username: z.string().optional(),
      password: z.string().optional(),
      database: z
        .string()
        .regex(/^\d{1,5}$/, 'expected the number of a database, such as /0')
        .default('0')
        .transform(Number),
      tls: tlsOption({ isSecure: scheme === 'rediss', secureScheme: 'rediss', byOption: true }),
      credentials: aFunction<NonNullable<RedisOptions['credentials']>>(),
      dnsLookup: aFunction<NonNullable<RedisOptions['dnsLookup']>>(),
      sentinel: z
        .strictObject({
          name: z.string().min(1),
          username: z.string().optional(),
          password: z.string().optional(),
          tls: z.boolean().default(false),
        })
        .optional(),
      cluster: z.boolean().default(false),
      natMap: z.record(z.string(), address).optional(),
      connectTimeout: timeout().default(10_000),
      requestTimeout: timeout().default(10_000),
      pollInterval: timeout().default(1500),
      maxMessageBytes: z
        .int()
        .min(1)
        // A bulk string of the protocol holds at most this many bytes (redis.conf, proto-max-bulk-len).
        .max(512 * 1024 * 1024)
        .default(16 * 1024 * 1024),
      retention: retention.prefault({}),
      deduplication: timeout().optional(),
      durability: durability.optional(),
      mirrorAttributes: z.enum(['required', 'all', 'none']).default('none'),
    })
    .superRefine((options, context) => {
      const { cluster, sentinel, requestTimeout } = options
      const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
      if (hosts.length === 0) issue([], 'expected a host, such as redis://localhost:6379')
      if (cluster && sentinel !== undefined) issue(['cluster'], 'either cluster or sentinel, not both')
      if (hosts.length > 1 && !cluster && sentinel === undefined)
        issue([], 'several hosts need the cluster or the sentinel option')
      if (cluster && options.database !== 0) issue(['database'], 'a cluster has database 0 only')
      if (cluster && options.durability !== undefined) issue(['durability'], noWaitInCluster)
      if (options.durability !== undefined && options.durability.timeout >= requestTimeout)
        issue(['durability', 'timeout'], waitsTooLong(requestTimeout))
      if (options.pollInterval >= requestTimeout)
        issue(['pollInterval'], `expected less than requestTimeout (${requestTimeout} ms)`)
      if (options.credentials !== undefined && options.password !== undefined)
        issue(['credentials'], 'either credentials or a password in the URL, not both')
    })

const topicSchema = z.strictObject({
  mode: z.enum(['stream', 'notices']).default('stream'),
  retention: retention.optional(),
  deduplication: timeout().optional(),
  durability: durability.optional(),
})

export interface RedisSettings extends z.output<ReturnType<typeof optionsSchema>> {
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
}

export type RedisTopicSettings = z.output<typeof topicSchema>

const defaultPort = 6379

/**
 * URL and native options as one.
 *
 * @throws {ConfigurationError} with every problem of both.
 */
export function parseRedisOptions(url: BrokerUrl, native: unknown): RedisSettings {
  const settings = parseConnectionOptions({
    ...{ adapter: 'redis', url, native, schema: optionsSchema(url) },
    query: {
      ...{ prefix: asText, cluster: asFlag, mirrorAttributes: asText },
      ...{ connectTimeout: asText, requestTimeout: asText, pollInterval: asText },
      sentinel: (name) => ({ name }),
    },
    fromUrl: {
      username: url.username,
      password: url.password,
      database: url.path === '' ? undefined : url.path,
    },
  })
  return { ...settings, hosts: url.hosts.map(({ host, port = defaultPort }) => ({ host, port })) }
}

/** @throws {ConfigurationError} with every problem. */
export function parseRedisTopicOptions(
  { name, native }: Pick<TopicSpec, 'name' | 'native'>,
  { cluster, requestTimeout }: Pick<RedisSettings, 'cluster' | 'requestTimeout'>,
): RedisTopicSettings {
  const schema = topicSchema.superRefine((options, context) => {
    const { durability } = options
    if (durability === undefined) return
    const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
    if (cluster) issue(['durability'], noWaitInCluster)
    if (durability.timeout >= requestTimeout) issue(['durability', 'timeout'], waitsTooLong(requestTimeout))
  })
  return parseOptions(schema, native.redis ?? {}, `options of topic "${name}"`, 'native.redis')
}
