import { type BrokerUrl, type Duration, parseOptions, type TopicSpec } from '@waybill/core/driver'
import {
  asFlag,
  asNumber,
  asText,
  durationOption,
  parseConnectionOptions,
  type TlsOptions,
  tlsOption,
} from '@waybill/core/driver-kit'
import { z } from 'zod'

export type KafkaCompression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

export type KafkaMirror = 'required' | 'all' | 'none'

export type KafkaTlsOptions = TlsOptions

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

/** Existing Kafka objects of a group, in place of those named after topic and group. */
export interface KafkaGroupOptions {
  /** The consumer group. */
  readonly groupId?: string
  readonly deadLetterTopic?: string
  readonly retryTopic?: string
  readonly delayTopic?: string
}

/** Of a single topic: `defineTopic(name, { native: { kafka: … } })`. */
export interface KafkaTopicOptions {
  /** An existing Kafka topic in place of the one with the topic's name. */
  readonly topic?: string
  /** By the group's name. */
  readonly groups?: Readonly<Record<string, KafkaGroupOptions>>
  /** Copies of each partition. Default: the connection's. */
  readonly replicationFactor?: number
  /** Topic configuration by Kafka's names, such as `retention.ms`; for the topic itself, not for its groups' topics. */
  readonly config?: Readonly<Record<string, string>>
}

/** Settings of the Kafka adapter: `connect({ native: { kafka: … } })`. */
export interface KafkaOptions {
  /** Default: `waybill`. The connection's instance is appended. */
  readonly clientId?: string
  /** Default: off; on for `kafka+ssl:` URLs, under which it cannot be switched off. */
  readonly tls?: boolean | KafkaTlsOptions
  /** Default: `plain` with the URL's user and password, where it has them. */
  readonly sasl?: KafkaSaslOptions
  /** Prefers replicas in the same rack for reading. */
  readonly rackId?: string
  /** For one broker, TLS included. Default: 5 s. */
  readonly connectTimeout?: Duration
  /** A connection that owes an answer for this long counts as lost. Default: 10 s. */
  readonly requestTimeout?: Duration
  /** Without a sign of life for so long, a member's partitions go to its peers. Default: 15 s. */
  readonly sessionTimeout?: Duration
  /** How often members report, and so how soon they notice that others joined or left. Default: 500 ms. */
  readonly heartbeatInterval?: Duration
  /** How long members have to rejoin when the group rebalances. Default: 30 s. */
  readonly rebalanceTimeout?: Duration
  /**
   * How long the broker holds back the answer to a fetch while nothing arrives, and with it whatever waits for the next
   * fetch: heartbeats, and partitions that are read again. Default: 500 ms, or a quarter of `hold` if that is less.
   */
  readonly fetchWait?: Duration
  /** How much one fetch asks of a partition. Default: 256 KiB. */
  readonly fetchBytesPerPartition?: number
  /** What is settled is committed at most this much later. Default: 100 ms. */
  readonly commitInterval?: Duration
  /** Retries and delayed sends wait in a consumer's memory for up to this long. Default: 2 s. */
  readonly hold?: Duration
  /** How many of them at most, for a subscription. Default: 10,000. */
  readonly maxHeld?: number
  /** How many bytes of them at most, for a subscription. Default: 32 MiB. */
  readonly maxHeldBytes?: number
  /** How soon producers and consumers notice that a topic has more partitions or was recreated. Default: 5 s. */
  readonly metadataInterval?: Duration
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
   * costs every reader that uses kafkajs time. Default: `required`.
   */
  readonly mirrorAttributes?: KafkaMirror
  /** Copies of each partition of new topics. Default: the broker's `default.replication.factor`. */
  readonly replicationFactor?: number
  /** Configuration of new topics by Kafka's names. */
  readonly topicConfig?: Readonly<Record<string, string>>
}

const duration = durationOption({ min: 1 })

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

/** Kafka's rule for names of topics (Kafka's `Topic.validate`). */
const topicName = z
  .string()
  .regex(/^(?!\.{1,2}$)[\w.-]{1,249}$/, 'expected 1 to 249 letters, digits, ".", "_" or "-"')

const topicOptionsSchema = z.strictObject({
  topic: topicName.optional(),
  groups: z
    .record(
      z.string(),
      z.strictObject({
        groupId: z.string().min(1).optional(),
        deadLetterTopic: topicName.optional(),
        retryTopic: topicName.optional(),
        delayTopic: topicName.optional(),
      }),
    )
    .default({}),
  replicationFactor: replicationFactor.optional(),
  config: config.default({}),
})

const minute = 60_000
const hour = 60 * minute
const defaultTiersMs = [1000, 6000, 40_000, 4 * minute, 30 * minute, 4 * hour]
const kibibyte = 1024
const mebibyte = 1024 * kibibyte

const secureScheme = 'kafka+ssl'

function optionsSchema(url: BrokerUrl) {
  return z
    .strictObject({
      clientId: z.string().min(1).max(200).default('waybill'),
      tls: tlsOption({ isSecure: url.scheme === secureScheme, secureScheme, byOption: true }),
      sasl: saslSchema.optional(),
      rackId: z.string().optional(),
      connectTimeout: duration.default(5000),
      requestTimeout: duration.default(10_000),
      sessionTimeout: duration.default(15_000),
      heartbeatInterval: duration.default(500),
      rebalanceTimeout: duration.default(30_000),
      metadataInterval: duration.default(5000),
      fetchWait: duration.default(500),
      fetchBytesPerPartition: z
        .int()
        .min(kibibyte)
        .default(256 * kibibyte),
      commitInterval: duration.default(100),
      hold: duration.default(2000),
      maxHeld: z.int().min(1).default(10_000),
      maxHeldBytes: z
        .int()
        .min(kibibyte)
        .default(32 * mebibyte),
      delayTiers: z.array(duration).min(1).max(32).default(defaultTiersMs),
      retryPartitions: z.int().min(1).max(1000).default(4),
      maxMessageBytes: z
        .int()
        .min(kibibyte)
        .max(1024 * mebibyte)
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
}

export type TopicSettings = z.output<typeof topicOptionsSchema>

export interface KafkaSettings extends z.output<ReturnType<typeof optionsSchema>> {
  /** The brokers to begin with. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
}

/** What a topic's definition says for Kafka alone. */
export function parseTopicOptions(topic: Pick<TopicSpec, 'name' | 'native'>): TopicSettings {
  return parseOptions(topicOptionsSchema, topic.native.kafka ?? {}, `topic "${topic.name}"`, 'native.kafka')
}

/** The port on which Kafka listens without being told otherwise (Kafka documentation, "Broker Configs", `listeners`). */
const defaultPort = 9092

/**
 * URL and native options as one; each option is given in one of them only.
 *
 * @throws {ConfigurationError} with every problem of either.
 */
export function parseKafkaOptions(url: BrokerUrl, native: unknown): KafkaSettings {
  const { username, password: secret = '' } = url
  const options = parseConnectionOptions({
    adapter: 'kafka',
    url,
    native,
    schema: optionsSchema(url),
    query: {
      clientId: asText,
      tls: asFlag,
      // The mechanism for the URL's user and password.
      sasl: () => undefined,
      rackId: asText,
      connectTimeout: asText,
      requestTimeout: asText,
      sessionTimeout: asText,
      heartbeatInterval: asText,
      rebalanceTimeout: asText,
      metadataInterval: asText,
      fetchWait: asText,
      commitInterval: asText,
      hold: asText,
      maxMessageBytes: asNumber,
      compression: asText,
      mirrorAttributes: asText,
      replicationFactor: asNumber,
    },
    fromUrl: {
      sasl:
        username === undefined
          ? undefined
          : { mechanism: url.query.sasl ?? 'plain', username, password: secret },
    },
  })
  const hosts = url.hosts.length === 0 ? [{ host: 'localhost', port: undefined }] : url.hosts
  return {
    ...options,
    fetchWait: Math.min(options.fetchWait, Math.ceil(options.hold / 4)),
    addresses: hosts.map(({ host, port }) => ({ host, port: port ?? defaultPort })),
  }
}
