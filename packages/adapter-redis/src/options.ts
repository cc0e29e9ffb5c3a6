import {
  type BrokerUrl,
  type Duration,
  parseDuration,
  parseOptions,
  type TopicSpec,
} from '@waybill/core/driver'
import { z } from 'zod'

/** Settings of the Redis adapter: `connect({ native: { redis: … } })`. */
export interface RedisOptions {
  /** Put before every key and channel. Default: `waybill`. */
  readonly prefix?: string
  /** TLS settings beyond what `rediss:` implies. */
  readonly tls?: RedisTlsOptions
  /** The URL's hosts are Sentinels, which are asked for the master of this name. */
  readonly sentinel?: RedisSentinelOptions
  /** The URL's hosts are nodes of a Redis Cluster. Default: false. */
  readonly cluster?: boolean
  /** Addresses that Sentinels or cluster nodes announce, as `host:port`, and where to reach them instead. */
  readonly natMap?: Readonly<Record<string, { readonly host: string; readonly port: number }>>
  /** How long opening one connection may take. Default: 10 s. */
  readonly connectTimeout?: Duration
  /** A connection on which an answer is due, and none comes for so long, counts as lost. Default: 10 s. */
  readonly responseTimeout?: Duration
  /** How often each consumer looks for due messages and gone members while nothing arrives. Default: 250 ms. */
  readonly pollInterval?: Duration
  /** The largest message in bytes, headers included. Default: 16 MiB. */
  readonly maxMessageBytes?: number
  /** How much of what every group has settled is kept, for topics that do not say otherwise. */
  readonly retention?: RedisRetention
  /** For so long, a second message with the same id is dropped by the broker. Default: off. */
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

export interface RedisTlsOptions {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

export interface RedisSentinelOptions {
  /** The name the Sentinels monitor the master under. */
  readonly name: string
  readonly username?: string
  readonly password?: string
  /** Whether the Sentinels themselves are reached over TLS. Default: false. */
  readonly tls?: boolean
}

/** Settled entries go when either bound is passed; unsettled ones never do. */
export interface RedisRetention {
  /** The newest settled entries that stay. Default: 10,000. */
  readonly maxLength?: number
  /** Default: no bound. */
  readonly maxAge?: Duration
}

/** Checked with `WAIT` and `WAITAOF` after each batch of sends. Not with a cluster. */
export interface RedisDurability {
  /** Replicas that have the message. Default: 0. */
  readonly replicas?: number
  /** Whether the append-only files, of the master and of those replicas, are on disk. Default: false. */
  readonly appendOnly?: boolean
  /** How long to wait for that before the send is tried again. Default: 2 s. */
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

const duration = z
  .union([z.number(), z.string()])
  .refine(
    (value) => parseDuration(value) !== undefined,
    "expected a duration such as 250, '250ms', '5s' or '1h'",
  )
  .transform((value) => parseDuration(value) ?? 0)

const timeout = duration.refine((milliseconds) => milliseconds >= 1, 'expected at least 1 ms')

const retention = z.strictObject({
  maxLength: z.int().min(0).default(10_000),
  maxAge: duration.optional(),
})

const tls = z.strictObject({
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
  passphrase: z.string().optional(),
  servername: z.string().optional(),
  rejectUnauthorized: z.boolean().optional(),
})

const durability = z.strictObject({
  replicas: z.int().min(0).default(0),
  appendOnly: z.boolean().default(false),
  timeout: timeout.default(2000),
})

const nativeSchema = z.strictObject({
  prefix: z
    .string()
    .regex(/^[^{}\s]{1,64}$/, 'expected 1 to 64 characters without braces or white space')
    .default('waybill'),
  tls: tls.optional(),
  sentinel: z
    .strictObject({
      name: z.string().min(1),
      username: z.string().optional(),
      password: z.string().optional(),
      tls: z.boolean().default(false),
    })
    .optional(),
  cluster: z.boolean().default(false),
  natMap: z
    .record(z.string(), z.strictObject({ host: z.string(), port: z.int().min(1).max(65_535) }))
    .optional(),
  connectTimeout: timeout.default(10_000),
  responseTimeout: timeout.default(10_000),
  pollInterval: timeout.default(250),
  maxMessageBytes: z
    .int()
    .min(1)
    // A bulk string of the protocol holds at most this many bytes (redis.conf, proto-max-bulk-len).
    .max(512 * 1024 * 1024)
    .default(16 * 1024 * 1024),
  retention: retention.prefault({}),
  deduplication: timeout.optional(),
  durability: durability.optional(),
  mirrorAttributes: z.enum(['required', 'all', 'none']).default('none'),
})

const whether = z.enum(['true', 'false']).transform((text) => text === 'true')

const urlSchema = z.strictObject({
  scheme: z.enum(['redis', 'rediss']),
  hosts: z
    .array(z.object({ host: z.string(), port: z.number().default(6379) }))
    .min(1, 'expected a host, such as redis://localhost:6379'),
  username: z.string().optional(),
  password: z.string().optional(),
  path: z
    .string()
    .regex(/^\d{1,5}$/, 'expected the number of a database, such as /0')
    .default('0')
    .transform(Number),
  query: z.strictObject({
    prefix: z.string().optional(),
    sentinel: z
      .string()
      .transform((name) => ({ name }))
      .optional(),
    cluster: whether.optional(),
    connectTimeout: z.string().optional(),
    responseTimeout: z.string().optional(),
    pollInterval: z.string().optional(),
    mirrorAttributes: z.string().optional(),
  }),
})

const noWaitInCluster = 'WAIT tells nothing about the node of a topic in a cluster; not supported there'

const optionsSchema = z
  .object({ url: urlSchema, native: z.object({ redis: nativeSchema }) })
  .superRefine(({ url, native: { redis } }, context) => {
    const { cluster, sentinel, durability } = redis
    const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
    if (cluster && sentinel !== undefined)
      issue(['native', 'redis', 'cluster'], 'either cluster or sentinel, not both')
    if (url.hosts.length > 1 && !cluster && sentinel === undefined) {
      issue(['url', 'hosts'], 'several hosts need the cluster or the sentinel option')
    }
    if (cluster && url.path !== 0) issue(['url', 'path'], 'a cluster has database 0 only')
    if (cluster && durability !== undefined) issue(['native', 'redis', 'durability'], noWaitInCluster)
  })

const topicSchema = z.strictObject({
  mode: z.enum(['stream', 'notices']).default('stream'),
  retention: retention.optional(),
  deduplication: timeout.optional(),
  durability: durability.optional(),
})

const clusterTopicSchema = topicSchema.refine((topic) => topic.durability === undefined, {
  path: ['durability'],
  message: noWaitInCluster,
})

export interface Settings extends z.output<typeof nativeSchema> {
  readonly url: Omit<z.output<typeof urlSchema>, 'query'>
}

export type TopicSettings = z.output<typeof topicSchema>

/**
 * URL and native options as one; native options win over the URL's query.
 *
 * @throws {ConfigurationError} with every problem of both.
 */
export function parseSettings(url: BrokerUrl, native: unknown): Settings {
  const query = urlSchema.shape.query.safeParse(url.query)
  const fromUrl = query.success ? withoutUndefined(query.data) : {}
  const merged = native === undefined || isObject(native) ? { ...fromUrl, ...native } : native
  const parsed = parseOptions(optionsSchema, { url, native: { redis: merged } }, 'Redis options')
  return { ...parsed.native.redis, url: parsed.url }
}

/** @throws {ConfigurationError} with every problem. */
export function parseTopicSettings(
  { name, native }: Pick<TopicSpec, 'name' | 'native'>,
  { cluster }: Pick<Settings, 'cluster'>,
): TopicSettings {
  const schema = cluster ? clusterTopicSchema : topicSchema
  return parseOptions(schema, native.redis ?? {}, `options of topic "${name}"`, 'native.redis')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function withoutUndefined(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
