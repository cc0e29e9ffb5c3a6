import { type BrokerUrl, type Duration, parseOptions, toMilliseconds } from '@waybill/core/driver'
import { z } from 'zod'

export type KafkaCompression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

export type KafkaMirror = 'required' | 'all' | 'none'

export interface KafkaTlsOptions {
  readonly ca?: string | readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

export type KafkaSaslOptions =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
      readonly username: string
      readonly password: string
    }
  | {
      readonly mechanism: 'oauthbearer'
      /** Asked for a token whenever a connection authenticates. */
      readonly oauthBearerProvider: () => Promise<{ readonly value: string }>
    }

/** Of a single topic: `defineTopic(name, { native: { kafka: … } })`. */
export interface KafkaTopicOptions {
  /** Copies of each partition. Default: the connection's. */
  readonly replicationFactor?: number
  /** Topic configuration by Kafka's names, such as `retention.ms`; for the topic itself, not for its groups' topics. */
  readonly config?: Readonly<Record<string, string>>
}

/** Settings of the Kafka adapter: `connect({ native: { kafka: … } })`. */
export interface KafkaOptions {
  /** Default: `waybill`. The connection's instance is appended. */
  readonly clientId?: string
  /** Default: off; on for `kafka+ssl:` URLs. */
  readonly tls?: boolean | KafkaTlsOptions
  /** Default: `plain` with the URL's user and password, where it has them. */
  readonly sasl?: KafkaSaslOptions
  /** Prefers replicas in the same rack for reading. */
  readonly rackId?: string
  /** For one broker, TLS included. Default: 5 s. */
  readonly connectTimeout?: Duration
  /** A connection on which an answer is due for so long counts as lost. Default: 10 s. */
  readonly requestTimeout?: Duration
  /** Without a sign of life for so long, a member's partitions go to its peers. Default: 15 s. */
  readonly sessionTimeout?: Duration
  /** How often members report, and so how soon they notice that others joined or left. Default: 500 ms. */
  readonly heartbeatInterval?: Duration
  /** How long members have to come back when the group divides its partitions anew. Default: 30 s. */
  readonly rebalanceTimeout?: Duration
  /** How long the broker holds back an answer to a fetch while nothing arrives. Default: 100 ms. */
  readonly fetchWait?: Duration
  /** How much one fetch asks of a partition. Default: 256 KiB. */
  readonly fetchBytesPerPartition?: number
  /** What is settled is committed at most this much later. Default: 100 ms. */
  readonly commitInterval?: Duration
  /** Retries and delayed sends wait in a consumer's memory for up to this long. Default: 2 s. */
  readonly hold?: Duration
  /** How many of them at most, for a subscription. Default: 10,000. */
  readonly maxHeld?: number
  /** How long a message waits in each partition of a delay topic. Default: 1 s to 4 h in six steps. */
  readonly delayTiers?: readonly Duration[]
  /**
   * How many partitions a group's retry topic has, so how many of its members share the retries. On ordered topics always
   * as many as the topic. Default: 4, or as many as the topic if those are fewer.
   */
  readonly retryPartitions?: number
  /** The largest message in bytes, headers included. Default: 1,000,000. */
  readonly maxMessageBytes?: number
  /** Default: `none`. */
  readonly compression?: KafkaCompression
  /**
   * Which CloudEvents attributes are repeated as `ce_` headers: `required` are id, source, type and specversion. Each
   * costs whoever reads the message with kafkajs time. Default: `required`.
   */
  readonly mirrorAttributes?: KafkaMirror
  /** Copies of each partition of new topics. Default: the broker's `default.replication.factor`. */
  readonly replicationFactor?: number
  /** Configuration of new topics by Kafka's names. */
  readonly topicConfig?: Readonly<Record<string, string>>
}

const duration = z
  .custom<Duration>((value) => {
    if (typeof value !== 'string' && typeof value !== 'number') return false
    try {
      return toMilliseconds(value, 'duration') > 0
    } catch {
      return false
    }
  }, 'expected a duration such as "500ms", "5s" or a number of milliseconds, above 0')
  .transform((value) => toMilliseconds(value, 'duration'))

const tlsSchema = z.strictObject({
  ca: z.union([z.string(), z.array(z.string())]).optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
  passphrase: z.string().optional(),
  servername: z.string().optional(),
  rejectUnauthorized: z.boolean().optional(),
})

const password = z.strictObject({ username: z.string(), password: z.string() })
type OauthBearerProvider = () => Promise<{ value: string }>

const saslSchema = z.discriminatedUnion('mechanism', [
  password.extend({ mechanism: z.literal('plain') }),
  password.extend({ mechanism: z.literal('scram-sha-256') }),
  password.extend({ mechanism: z.literal('scram-sha-512') }),
  z.strictObject({
    mechanism: z.literal('oauthbearer'),
    oauthBearerProvider: z.custom<OauthBearerProvider>(
      (value) => typeof value === 'function',
      'expected a function that returns a promise of { value }',
    ),
  }),
])

const config = z.record(z.string(), z.string())
const replicationFactor = z.int().min(1).max(32_767)

export const topicOptionsSchema = z.strictObject({
  replicationFactor: replicationFactor.optional(),
  config: config.default({}),
})

const minute = 60_000
const hour = 60 * minute
const defaultTiersMs = [1000, 6000, 40_000, 4 * minute, 30 * minute, 4 * hour]

const optionsSchema = z
  .strictObject({
    clientId: z.string().min(1).max(200).default('waybill'),
    tls: z.union([z.boolean(), tlsSchema]).default(false),
    sasl: saslSchema.optional(),
    rackId: z.string().optional(),
    connectTimeout: duration.default(5000),
    requestTimeout: duration.default(10_000),
    sessionTimeout: duration.default(15_000),
    heartbeatInterval: duration.default(500),
    rebalanceTimeout: duration.default(30_000),
    fetchWait: duration.default(100),
    fetchBytesPerPartition: z
      .int()
      .min(1024)
      .default(256 * 1024),
    commitInterval: duration.default(100),
    hold: duration.default(2000),
    maxHeld: z.int().min(1).default(10_000),
    delayTiers: z.array(duration).min(1).max(32).default(defaultTiersMs),
    retryPartitions: z.int().min(1).max(1000).default(4),
    maxMessageBytes: z
      .int()
      .min(1024)
      .max(1024 * 1024 * 1024)
      .default(1_000_000),
    compression: z.enum(['none', 'gzip', 'snappy', 'lz4', 'zstd']).default('none'),
    mirrorAttributes: z.enum(['required', 'all', 'none']).default('required'),
    replicationFactor: replicationFactor.optional(),
    topicConfig: config.default({}),
  })
  .superRefine(({ hold, delayTiers, heartbeatInterval, sessionTimeout }, context) => {
    const [first] = delayTiers
    if (first !== undefined && first > hold / 2) {
      context.addIssue({
        code: 'custom',
        path: ['delayTiers', 0],
        message: 'expected at most half of `hold`',
      })
    }
    if (delayTiers.some((tier, index) => index > 0 && tier <= (delayTiers[index - 1] ?? 0))) {
      context.addIssue({ code: 'custom', path: ['delayTiers'], message: 'expected ascending durations' })
    }
    if (heartbeatInterval * 2 > sessionTimeout) {
      context.addIssue({
        code: 'custom',
        path: ['heartbeatInterval'],
        message: 'expected at most half of `sessionTimeout`',
      })
    }
  })

const flag = z.enum(['true', 'false']).transform((text) => text === 'true')
const number = z.coerce.number()

const querySchema = z.strictObject({
  clientId: z.string().optional(),
  tls: flag.optional(),
  sasl: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).optional(),
  rackId: z.string().optional(),
  connectTimeout: z.string().optional(),
  requestTimeout: z.string().optional(),
  sessionTimeout: z.string().optional(),
  heartbeatInterval: z.string().optional(),
  rebalanceTimeout: z.string().optional(),
  fetchWait: z.string().optional(),
  commitInterval: z.string().optional(),
  hold: z.string().optional(),
  maxMessageBytes: number.optional(),
  compression: z.string().optional(),
  mirrorAttributes: z.string().optional(),
  replicationFactor: number.optional(),
})

export type Settings = z.output<typeof optionsSchema> & { readonly brokers: readonly string[] }
export type TopicSettings = z.output<typeof topicOptionsSchema>

/** The port on which Kafka listens without being told otherwise (Kafka documentation, "Broker Configs", `listeners`). */
const defaultPort = 9092

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/**
 * URL and native options as one; native options win.
 *
 * @throws {ConfigurationError} with every problem of either.
 */
export function parseSettings(url: BrokerUrl, native: unknown): Settings {
  const { sasl: mechanism = 'plain', ...query } = parseOptions(querySchema, url.query, 'URL', 'url')
  const { username, password: secret = '' } = url
  const fromUrl = withoutUndefined({
    tls: url.scheme === 'kafka+ssl' ? true : undefined,
    sasl: username === undefined ? undefined : { mechanism, username, password: secret },
    ...withoutUndefined(query),
  })
  const options = parseOptions(
    optionsSchema,
    typeof native === 'object' && native !== null ? { ...fromUrl, ...native } : (native ?? fromUrl),
    'Kafka options',
    'native.kafka',
  )
  const hosts = url.hosts.length === 0 ? [{ host: 'localhost', port: undefined }] : url.hosts
  return { ...options, brokers: hosts.map(({ host, port }) => `${host}:${port ?? defaultPort}`) }
}
