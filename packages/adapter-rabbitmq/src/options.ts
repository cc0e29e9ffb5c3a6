import { type BrokerUrl, ConfigurationError, type Duration, parseOptions } from '@waybill/core/driver'
import {
  asNumber,
  asText,
  durationOption,
  parseConnectionOptions,
  type TlsOptions,
  tlsOption,
} from '@waybill/core/driver-kit'
import { z } from 'zod'

/**
 * The levels of a delay ladder: 1/32 s, 1/16 s and so on, twice as long each. The highest of 27 lasts 24 days; a time to
 * live must be below 2^32 ms (RabbitMQ documentation, "Time-To-Live").
 */
export const ladderLevels = { unitMs: 1000 / 32, most: 27 } as const

/** The longest delay of one way through a full ladder: 48 days. */
const ladderLimitMs = Math.ceil(ladderLevels.unitMs * (2 ** ladderLevels.most - 1))

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
  /** TLS settings beyond what `amqps:` implies; refused with `amqp:`. */
  readonly tls?: boolean | TlsOptions
  /** Shown in the broker's list of connections. Default: `waybill`. */
  readonly connectionName?: string
  /** A connection counts as lost after two of these without a byte. Whole seconds. Default: 15 s. */
  readonly heartbeat?: Duration
  /** For one host, TLS and handshake included; less when there are several and little time is left. Default: 10 s. */
  readonly connectTimeout?: Duration
  /** How long the broker may take to answer anything but a publish. Default: 15 s. */
  readonly requestTimeout?: Duration
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
   * Which CloudEvents attributes are repeated as headers, for other readers of the queues: `required` are id, source, type
   * and specversion. Each costs sender and receivers time. Default: `required`.
   */
  readonly mirrorAttributes?: 'required' | 'all' | 'none'
  /**
   * The management API, such as `https://user:password@host:15671`, for what AMQP cannot tell: listing topics and groups,
   * and so deleting a topic with its groups. User and password default to the connection's. Default: none.
   */
  readonly managementUrl?: string
  /** By the topic's name; wins over the topic's own. */
  readonly topics?: Readonly<Record<string, RabbitmqTopicOptions>>
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

const name = z.string().min(1).max(255)

const topicSchema = z.strictObject({
  exchange: name.optional(),
  groups: z
    .record(z.string(), z.strictObject({ queue: name.optional(), deadLetterQueue: name.optional() }))
    .optional(),
  queueArguments: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
})

const optionsSchema = ({ scheme }: BrokerUrl) =>
  z.strictObject({
    username: z.string().optional(),
    password: z.string().optional(),
    authentication: z.enum(['plain', 'external']).default('plain'),
    virtualHost: z.string().min(1).default('/'),
    tls: tlsOption({ isSecure: scheme === 'amqps', secureScheme: 'amqps', byOption: false }),
    connectionName: z.string().max(200).default('waybill'),
    heartbeat: durationOption({ min: 1000, max: 3_600_000 }).default(15_000),
    connectTimeout: durationOption({ min: 1 }).default(10_000),
    requestTimeout: durationOption({ min: 1 }).default(15_000),
    confirmTimeout: durationOption({ min: 1 }).default(30_000),
    consumerTimeout: durationOption({ min: 1 }).optional(),
    maxMessageBytes: z
      .int()
      .min(1024)
      .max(512 * 1024 * 1024)
      .default(16 * 1024 * 1024),
    longestDelay: durationOption({ min: 100, max: ladderLimitMs }).default(ladderLimitMs),
    delayQueues: z.enum(['on-demand', 'all']).default('on-demand'),
    unroutable: z.enum(['drop', 'reject']).default('drop'),
    mirrorAttributes: z.enum(['required', 'all', 'none']).default('required'),
    managementUrl: z.url({ protocol: /^https?$/ }).optional(),
    topics: z.record(z.string(), topicSchema).default({}),
  })

/** All durations in milliseconds; `tls` is undefined without TLS. */
export type RabbitmqSettings = z.output<ReturnType<typeof optionsSchema>> & {
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
}

export type TopicSettings = z.output<typeof topicSchema>

const inSeconds = (text: string) => (/^\d+$/.test(text) ? Number(text) * 1000 : text)

/** `heartbeat` in seconds and `connection_timeout` in milliseconds are those of the page "RabbitMQ URI Query Parameters". */
const query = {
  heartbeat: inSeconds,
  connection_timeout: { option: 'connectTimeout', read: asNumber },
  connectionName: asText,
  requestTimeout: asText,
  confirmTimeout: asText,
  consumerTimeout: asText,
  maxMessageBytes: asNumber,
  longestDelay: asText,
  delayQueues: asText,
  unroutable: asText,
  mirrorAttributes: asText,
}

/**
 * URL and native options as one. An option is given in one place only.
 *
 * @example
 * const settings = parseRabbitmqOptions(parseBrokerUrl('amqp://me:secret@host?heartbeat=5'), { unroutable: 'reject' })
 *
 * @throws {ConfigurationError} with every problem of either, each with its place: `url?heartbeat`.
 */
export function parseRabbitmqOptions(url: BrokerUrl, native: unknown): RabbitmqSettings {
  const { username, password, path: virtualHost } = url
  const options = parseConnectionOptions({
    adapter: 'rabbitmq',
    url,
    native,
    schema: optionsSchema(url),
    query,
    fromUrl: { username, password, virtualHost },
  })
  if (
    options.authentication === 'plain' &&
    (options.username === undefined) !== (options.password === undefined)
  ) {
    const missing =
      options.username === undefined
        ? 'a password without a user'
        : `user "${options.username}" without a password`
    throw new ConfigurationError('rabbitmq options', [
      {
        path: 'url',
        message: `${missing}; write ${url.scheme}://user:password@host, or give both as native options`,
      },
    ])
  }
  const port = ports[url.scheme] ?? 5672
  const hosts = url.hosts.length === 0 ? [{ host: 'localhost', port: undefined }] : url.hosts
  return { ...options, hosts: hosts.map((each) => ({ host: each.host, port: each.port ?? port })) }
}

/** A topic's own settings under those that the connection has for it. */
export function topicSettings(
  { name: topic, native }: { readonly name: string; readonly native: Readonly<Record<string, unknown>> },
  settings: RabbitmqSettings,
): TopicSettings {
  const own = parseOptions(topicSchema, native.rabbitmq ?? {}, `topic "${topic}"`, 'native.rabbitmq')
  return { ...own, ...settings.topics[topic] }
}
