import { type BrokerUrl, type Duration, parseDuration, parseOptions } from '@waybill/core/driver'
import { z } from 'zod'
import { ladderLimitMs } from './wire/delays.ts'

/** Settings of the RabbitMQ adapter: `connect({ native: { rabbitmq: … } })`. */
export interface RabbitmqOptions {
  /** Default: the URL's, or `guest`. */
  readonly username?: string
  /** Default: the URL's, or `guest`. */
  readonly password?: string
  /** `external` takes the user from the TLS client certificate. Default: `plain`. */
  readonly authentication?: 'plain' | 'external'
  /** Default: the URL's path, or `/`. */
  readonly virtualHost?: string
  /** TLS settings beyond what `amqps:` implies. */
  readonly tls?: RabbitmqTlsOptions
  /** Shown in the broker's list of connections. Default: `waybill`. */
  readonly connectionName?: string
  /** A connection counts as lost after two of these without a byte. Whole seconds. Default: 15 s. */
  readonly heartbeat?: Duration
  /** For one host, TLS and handshake included. Default: 10 s. */
  readonly connectTimeout?: Duration
  /** How long the broker may take to answer anything but a publish. Default: 15 s. */
  readonly responseTimeout?: Duration
  /** How long the broker may take to confirm what it was sent. Default: 30 s. */
  readonly confirmTimeout?: Duration
  /**
   * How long a message may be in hand before the broker takes it back; of consumers since RabbitMQ 4.3, with earlier ones
   * connecting fails. Default: the broker's, 30 minutes (RabbitMQ documentation, "Delivery Acknowledgement Timeout").
   */
  readonly consumerTimeout?: Duration
  /**
   * The largest message in bytes, headers included. Default: 16 MiB, the broker's own default for bodies
   * (`max_message_size`; RabbitMQ documentation, "Configuration").
   */
  readonly maxMessageBytes?: number
  /** What a delay ladder holds in one go; longer delays go round again. Default: 48 days. */
  readonly longestDelay?: Duration
  /**
   * `on-demand` creates delay queues when a delay first needs them, whatever `provision` says. `all` leaves them to
   * provisioning: `create` then makes all of them, `verify` wants all of them, and nothing is made later. Default:
   * `on-demand`.
   */
  readonly delayQueues?: 'on-demand' | 'all'
  /** What becomes of a message that no queue wants: dropped with a warning, or the send fails. Default: `drop`. */
  readonly unroutable?: 'drop' | 'reject'
  /**
   * Which CloudEvents attributes are repeated as headers, for whoever reads the queues: `required` are id, source, type
   * and specversion. Each costs sender and receivers time. Default: `required`.
   */
  readonly mirrorAttributes?: 'required' | 'all' | 'none'
  /** By the topic's name; wins over the topic's own. */
  readonly topics?: Readonly<Record<string, RabbitmqTopicOptions>>
}

/** As of Node's `tls.connect`; PEM texts, not paths. */
export interface RabbitmqTlsOptions {
  readonly ca?: string | readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

/** Settings of one topic: `defineTopic(name, { native: { rabbitmq: … } })`. Existing objects are checked, never declared. */
export interface RabbitmqTopicOptions {
  /** An existing topic exchange in place of those with the topic's name. */
  readonly exchange?: string
  readonly groups?: Readonly<Record<string, RabbitmqGroupOptions>>
  /** Further arguments for the groups' queues that Waybill declares, such as `x-max-length`. */
  readonly queueArguments?: Readonly<Record<string, string | number | boolean>>
}

export interface RabbitmqGroupOptions {
  /** An existing queue in place of `topic:group`; on an ordered topic `QUEUE:0`, `QUEUE:1` and so on. */
  readonly queue?: string
  /** An existing queue in place of `topic:group:dead`. */
  readonly deadLetterQueue?: string
}

/** The port of AMQP without and with TLS (IANA service names `amqp` and `amqps`). */
const ports: Readonly<Record<string, number>> = { amqp: 5672, amqps: 5671 }

function milliseconds(minimum: number, maximum = Number.MAX_SAFE_INTEGER) {
  const schema = z.custom<Duration>((value) => {
    const parsed = parseDuration(value)
    return parsed !== undefined && parsed >= minimum && parsed <= maximum
  }, `expected a duration such as "500ms", "5s" or a number of milliseconds, from ${minimum} ms`)
  return schema.transform((value) => parseDuration(value) ?? minimum)
}

const name = z.string().min(1).max(255)

const topicSchema = z.strictObject({
  exchange: name.optional(),
  groups: z
    .record(z.string(), z.strictObject({ queue: name.optional(), deadLetterQueue: name.optional() }))
    .optional(),
  queueArguments: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
})

const optionsSchema = z.strictObject({
  username: z.string().optional(),
  password: z.string().optional(),
  authentication: z.enum(['plain', 'external']).default('plain'),
  virtualHost: z.string().min(1).default('/'),
  tls: z
    .strictObject({
      ca: z.union([z.string(), z.array(z.string())]).optional(),
      cert: z.string().optional(),
      key: z.string().optional(),
      passphrase: z.string().optional(),
      servername: z.string().optional(),
      rejectUnauthorized: z.boolean().optional(),
    })
    .default({}),
  connectionName: z.string().max(200).default('waybill'),
  heartbeat: milliseconds(1000, 3_600_000).default(15_000),
  connectTimeout: milliseconds(1).default(10_000),
  responseTimeout: milliseconds(1).default(15_000),
  confirmTimeout: milliseconds(1).default(30_000),
  consumerTimeout: milliseconds(1).optional(),
  maxMessageBytes: z
    .int()
    .min(1024)
    .max(512 * 1024 * 1024)
    .default(16 * 1024 * 1024),
  longestDelay: milliseconds(100, ladderLimitMs).default(ladderLimitMs),
  delayQueues: z.enum(['on-demand', 'all']).default('on-demand'),
  unroutable: z.enum(['drop', 'reject']).default('drop'),
  mirrorAttributes: z.enum(['required', 'all', 'none']).default('required'),
  topics: z.record(z.string(), topicSchema).default({}),
})

/** All durations in milliseconds. */
export type Settings = z.output<typeof optionsSchema> & {
  readonly isTls: boolean
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
}

export type TopicSettings = z.output<typeof topicSchema>

const seconds = z
  .string()
  .regex(/^\d+$/, 'expected whole seconds')
  .transform((value) => Number(value) * 1000)

const wholeNumber = z.string().regex(/^\d+$/, 'expected a whole number').transform(Number)

// `heartbeat` in seconds and `connection_timeout` in milliseconds are those of the page "RabbitMQ URI Query Parameters".
const querySchema = z.strictObject({
  heartbeat: seconds.optional(),
  connection_timeout: wholeNumber.optional(),
  connectionName: z.string().optional(),
  responseTimeout: z.string().optional(),
  confirmTimeout: z.string().optional(),
  consumerTimeout: z.string().optional(),
  maxMessageBytes: wholeNumber.optional(),
  longestDelay: z.string().optional(),
  delayQueues: z.string().optional(),
  unroutable: z.string().optional(),
  mirrorAttributes: z.string().optional(),
})

/**
 * URL and native options as one; native options win.
 *
 * @throws {ConfigurationError} with every problem of either.
 */
export function parseSettings(url: BrokerUrl, native: unknown): Settings {
  const { connection_timeout: connectTimeout, ...query } = parseOptions(querySchema, url.query, 'URL', 'url')
  const { username, password, path: virtualHost } = url
  const fromUrl = Object.fromEntries(
    Object.entries({ ...query, connectTimeout, username, password, virtualHost }).filter(
      ([, value]) => value !== undefined,
    ),
  )
  const options = parseOptions(
    optionsSchema,
    typeof native === 'object' && native !== null ? { ...fromUrl, ...native } : (native ?? fromUrl),
    'RabbitMQ options',
    'native.rabbitmq',
  )
  const port = ports[url.scheme] ?? 5672
  const hosts = url.hosts.length === 0 ? [{ host: 'localhost', port: undefined }] : url.hosts
  return {
    ...options,
    isTls: url.scheme === 'amqps',
    hosts: hosts.map((each) => ({ host: each.host, port: each.port ?? port })),
  }
}

/** A topic's own settings under those that the connection has for it. */
export function topicSettings(
  { name: topic, native }: { readonly name: string; readonly native: Readonly<Record<string, unknown>> },
  settings: Settings,
): TopicSettings {
  const own = parseOptions(topicSchema, native.rabbitmq ?? {}, `topic "${topic}"`, 'native.rabbitmq')
  return { ...own, ...settings.topics[topic] }
}
