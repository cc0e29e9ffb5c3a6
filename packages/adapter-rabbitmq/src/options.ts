import { type BrokerUrl, parseOptions } from '@waybill/core/driver'
import { z } from 'zod'
import { ladderLimitMs } from './delays.ts'

/** The port of AMQP without and with TLS (IANA service names `amqp` and `amqps`). */
const ports: Readonly<Record<string, number>> = { amqp: 5672, amqps: 5671 }

const name = z.string().min(1).max(255)
const milliseconds = z.int().min(1)

/** What a group reads from. */
const groupSchema = z.strictObject({
  /** An existing queue in place of `topic:group`; never declared, only checked. */
  queue: name.optional(),
  /** An existing queue in place of `topic:group:dead`; never declared, only checked. */
  deadLetterQueue: name.optional(),
})

/** How a topic lies at the broker; also the topic's own `native.rabbitmq`. */
export const topicOptionsSchema = z.strictObject({
  /** An existing topic exchange in place of one with the topic's name; never declared, only checked. */
  exchange: name.optional(),
  groups: z.record(z.string(), groupSchema).optional(),
  /** Further arguments for the groups' queues that Waybill declares, such as `x-max-length`. */
  queueArguments: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
})

const optionsSchema = z.strictObject({
  username: z.string().optional(),
  password: z.string().optional(),
  /** `external` takes the user from the TLS client certificate. Default: `plain`. */
  authentication: z.enum(['plain', 'external']).default('plain'),
  /** Default: the URL's path, or `/`. */
  virtualHost: z.string().min(1).optional(),
  /** After two of these without a byte the connection counts as lost. Default: 15. */
  heartbeatSeconds: z.int().min(1).max(3600).default(15),
  /** For one host, TLS and handshake included. Default: 10,000. */
  connectTimeoutMs: milliseconds.default(10_000),
  /** How long the broker may take to answer anything but a publish. Default: 15,000. */
  operationTimeoutMs: milliseconds.default(15_000),
  /** How long the broker may take to confirm what it was sent. Default: 30,000. */
  confirmTimeoutMs: milliseconds.default(30_000),
  /**
   * Lower or raise it with the broker's `max_message_size`, which is 16 MiB by default (RabbitMQ documentation,
   * "Configuration").
   */
  maxMessageBytes: z
    .int()
    .min(1024)
    .max(512 * 1024 * 1024)
    .default(16 * 1024 * 1024),
  /** The longest delay the delay queues hold in one step; longer ones are sent round again. */
  longestDelayMs: z.int().min(100).max(ladderLimitMs).default(ladderLimitMs),
  /**
   * `on-demand` creates delay queues when a delay first needs them, whatever `provision` says. `all` leaves them to
   * provisioning: `create` then makes all of them, `verify` wants all of them, and nothing is made later. Default:
   * `on-demand`.
   */
  delayQueues: z.enum(['on-demand', 'all']).default('on-demand'),
  /** What becomes of a message that no queue wants: dropped with a warning, or the send fails. Default: `drop`. */
  unroutable: z.enum(['drop', 'reject']).default('drop'),
  /**
   * How long a message may be in hand before the broker takes it back. Default: the broker's, 30 minutes (RabbitMQ
   * documentation, "Delivery Acknowledgement Timeout").
   */
  consumerTimeoutMs: milliseconds.optional(),
  /** Shown in the broker's list of connections. Default: `waybill`. */
  connectionName: z.string().max(255).default('waybill'),
  /** As of Node's `tls.connect`; PEM texts, not paths. */
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
  /** By the topic's name; wins over the topic's own `native.rabbitmq`. */
  topics: z.record(z.string(), topicOptionsSchema).default({}),
})

/** What `connect({ native: { rabbitmq: … } })` takes. */
export type RabbitmqOptions = z.input<typeof optionsSchema>
export type TopicOptions = z.output<typeof topicOptionsSchema>
export type Settings = z.output<typeof optionsSchema> & {
  readonly isTls: boolean
  readonly virtualHost: string
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
}

const number = z.coerce.number()

// `heartbeat` and `connection_timeout` are the spelling of the page "RabbitMQ URI Query Parameters".
const querySchema = z.strictObject({
  heartbeat: number.optional(),
  connection_timeout: number.optional(),
  connectionName: z.string().optional(),
  operationTimeoutMs: number.optional(),
  confirmTimeoutMs: number.optional(),
  maxMessageBytes: number.optional(),
  longestDelayMs: number.optional(),
  consumerTimeoutMs: number.optional(),
  delayQueues: z.string().optional(),
  unroutable: z.string().optional(),
})

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/**
 * URL and native options as one; native options win.
 *
 * @throws {ConfigurationError} with every problem of either.
 */
export function parseSettings(url: BrokerUrl, native: unknown): Settings {
  const { heartbeat, connection_timeout, ...query } = parseOptions(querySchema, url.query, 'URL', 'url')
  const fromUrl = withoutUndefined({
    ...query,
    username: url.username,
    password: url.password,
    virtualHost: url.path,
    heartbeatSeconds: heartbeat,
    connectTimeoutMs: connection_timeout,
  })
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
    virtualHost: options.virtualHost ?? '/',
    hosts: hosts.map((each) => ({ host: each.host, port: each.port ?? port })),
  }
}
