import type { SNSClient } from '@aws-sdk/client-sns'
import type { SQSClient } from '@aws-sdk/client-sqs'
import {
  type BrokerUrl,
  ConfigurationError,
  type Duration,
  parseOptions,
  type TopicSpec,
} from '@waybill/core/driver'
import {
  asNumber,
  asText,
  durationOption,
  parseConnectionOptions,
  type TlsOptions,
  tlsOption,
} from '@waybill/core/driver-kit'
import { z } from 'zod'

/** An access key, as the SDK takes it. */
export interface SqsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When a provider function is asked again. */
  readonly expiration?: Date
}

/** Which CloudEvents attributes are repeated as message attributes. */
export type SqsMirror = 'required' | 'all' | 'none'

/** Options of `connect({ native: { sqs: … } })`. Those marked "URL" may stand in the URL's query instead. */
export interface SqsOptions {
  /** Any name the endpoint knows, not only AWS's. URL. Default: the URL's host (`sqs://eu-west-1`), else the SDK's default chain. */
  readonly region?: string
  /**
   * An access key, or a function that resolves with one and is asked again when it expires, such as those of
   * `@aws-sdk/credential-providers`. Default: the user and password of the URL, else the SDK's default chain.
   */
  readonly credentials?: SqsCredentials | (() => Promise<SqsCredentials>)
  /**
   * Clients of your own, with your middleware and retry policy. They serve the region of the connection and are never
   * closed by Waybill.
   */
  readonly clients?: { readonly sqs?: SQSClient; readonly sns?: SNSClient }
  /** The authority, certificate and so on for an `sqs+https:` endpoint of your own. */
  readonly tls?: TlsOptions
  /** Of SNS, where it differs from that of SQS. Default: the URL's, or the service itself. */
  readonly snsEndpoint?: string
  /** Put before the name of every queue and topic. URL. Default: none. */
  readonly prefix?: string
  /**
   * When an SNS topic stands before the queues. `auto`: as soon as the topic has more than one group, no matter which program declares
   * them. `always`: from the start. `never`: SNS is not used, and a second group is refused. URL. Default: `auto`.
   */
  readonly fanOut?: 'auto' | 'always' | 'never'
  /**
   * How often senders look whether an SNS topic has been put before the queue they send to. A topic's second group starts
   * after as long, so that it misses nothing. URL. Default: 10 s.
   */
  readonly fanOutRefresh?: Duration
  /**
   * Which CloudEvents attributes are repeated as message attributes (`ce-type`), for filter policies and for readers that do
   * not look into bodies: `required` are id, source, type and specversion; of `all`, the first eight. With `none` SNS
   * filters nothing. Each costs time at the service. URL. Default: `required`.
   */
  readonly mirrorAttributes?: SqsMirror
  /** Tags for every queue and topic made, beside `waybill:topic` and `waybill:group`. */
  readonly tags?: Readonly<Record<string, string>>
  /** Of what is made: the id of a KMS key, or `sqs` for keys that SQS manages. Default: the service's default. */
  readonly encryption?: 'sqs' | { readonly kmsKeyId: string; readonly reuseSeconds?: number }
  /** How long queues that are made keep messages, dead letters too. At most 14 days. Default: 14 days. */
  readonly retention?: Duration
  /**
   * The safety net: after so many receipts SQS itself moves a message to the dead letters. On ordered topics it also
   * counts releases, so keep it well above what consumers allow. Up to 1000. Default: 100.
   */
  readonly maxReceiveCount?: number
  /**
   * How long a receive waits for messages, in whole seconds up to 20. Closing waits as long for receives under way. URL.
   * Default: 5 s.
   */
  readonly pollWait?: Duration
  /** How many receives of one consumer are under way at once at most. URL. Default: 10. */
  readonly maxPolls?: number
  /**
   * How long receives and settlements wait for each other while a consumer is busy, so that fewer requests carry more.
   * 0 turns it off. URL. Default: 40 ms.
   */
  readonly gather?: Duration
  /** How long the services may take to answer, the waiting of a receive not included. URL. Default: 10 s. */
  readonly requestTimeout?: Duration
  /** The services' limits. Lower them for tests; raise `messageBytes` where no topic has several groups. */
  readonly limits?: {
    /**
     * The largest message, with attributes and headers. Default: 245,760, what SNS takes less room for the adapter's own;
     * with `fanOut: 'never'` 1,015,808, what SQS takes less room for a failure record.
     */
    readonly messageBytes?: number
    /** Amazon SQS: 1,048,576 for a message and for a batch. */
    readonly queueBytes?: number
    /** Amazon SNS: 262,144 for a message and for a batch. */
    readonly topicBytes?: number
    /** The longest DelaySeconds, in milliseconds. Amazon SQS: 15 minutes. */
    readonly delayMs?: number
    /** The longest visibility timeout, counted from the receive. Amazon SQS: 12 hours. */
    readonly visibilityMs?: number
    /** Messages in flight in one queue. Amazon SQS: 120,000. */
    readonly inFlight?: number
  }
}

/** Options of `defineTopic(…, { native: { sqs: … } })`: queues and topics of your own, by name or ARN. */
export interface SqsTopicOptions {
  /** By group. */
  readonly queues?: Readonly<Record<string, string>>
  /** By group. */
  readonly deadLetterQueues?: Readonly<Record<string, string>>
  /** The SNS topic. */
  readonly topic?: string
}

/** Amazon SQS: Developer Guide, "Message quotas". */
const queueBytes = 1_048_576
/** Amazon SNS: API Reference, PublishBatch. */
const topicBytes = 262_144
/** For our own attributes, and JSON's escapes in them. */
const attributeReserve = 16 * 1024
/** Core's failure record has up to 6 KiB of text in the largest alphabet, and JSON escapes some of it. */
const failureRecordReserve = 32 * 1024

const limitsSchema = z.strictObject({
  messageBytes: z
    .int()
    .min(1024)
    .max(queueBytes - failureRecordReserve)
    .optional(),
  queueBytes: z.int().min(1024).max(queueBytes).default(queueBytes),
  topicBytes: z.int().min(1024).max(queueBytes).default(topicBytes),
  // Amazon SQS API Reference, SendMessage, DelaySeconds.
  delayMs: z.int().min(1000).max(900_000).default(900_000),
  // Amazon SQS API Reference, ChangeMessageVisibility.
  visibilityMs: z.int().min(1000).max(43_200_000).default(43_200_000),
  // Amazon SQS Developer Guide, "Message quotas", "In-flight messages".
  inFlight: z.int().min(10).max(120_000).default(120_000),
})

const text = z.string().min(1)

const credentialsSchema = z.strictObject({
  accessKeyId: text,
  secretAccessKey: text,
  sessionToken: text.optional(),
  expiration: z.date().optional(),
})

type Credentials = NonNullable<SqsOptions['credentials']>

const isCredentials = (value: unknown): value is Credentials =>
  typeof value === 'function' || credentialsSchema.safeParse(value).success

function isClient(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'send' in value && 'config' in value
}

const optionsSchema = ({ scheme }: BrokerUrl) =>
  z.strictObject({
    region: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,64}$/, 'expected a region such as eu-west-1')
      .optional(),
    credentials: z
      .custom<Credentials>(
        isCredentials,
        'expected accessKeyId and secretAccessKey (and sessionToken, expiration), or a function that resolves with them',
      )
      .optional(),
    clients: z
      .strictObject({
        sqs: z.custom<SQSClient>(isClient, 'expected an SQSClient').optional(),
        sns: z.custom<SNSClient>(isClient, 'expected an SNSClient').optional(),
      })
      .default({}),
    tls: tlsOption({ isSecure: scheme !== 'sqs+http', secureScheme: 'sqs+https', byOption: false }),
    snsEndpoint: z.url({ protocol: /^https?$/ }).optional(),
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,20}$/, 'expected up to 20 letters, digits, "-" or "_"')
      .default(''),
    fanOut: z.enum(['auto', 'always', 'never']).default('auto'),
    fanOutRefresh: durationOption({ min: 100, max: 300_000 }).default(10_000),
    mirrorAttributes: z.enum(['required', 'all', 'none']).default('required'),
    tags: z.record(z.string(), z.string()).default({}),
    encryption: z
      .union([
        z.literal('sqs'),
        z.strictObject({ kmsKeyId: text, reuseSeconds: z.int().min(60).max(86_400).optional() }),
      ])
      .optional(),
    // Amazon SQS API Reference, CreateQueue, MessageRetentionPeriod.
    retention: durationOption({ min: 60_000, max: 1_209_600_000 }).default(1_209_600_000),
    // Amazon SQS API Reference, CreateQueue, RedrivePolicy.
    maxReceiveCount: z.int().min(2).max(1000).default(100),
    // Amazon SQS API Reference, ReceiveMessage, WaitTimeSeconds.
    pollWait: durationOption({ max: 20_000 }).default(5000),
    maxPolls: z.int().min(1).max(100).default(10),
    gather: durationOption({ max: 1000 }).default(40),
    requestTimeout: durationOption({ min: 100, max: 300_000 }).default(10_000),
    limits: limitsSchema.default(() => limitsSchema.parse({})),
  })

const topicOptionsSchema = z.strictObject({
  queues: z.record(z.string(), text).default({}),
  deadLetterQueues: z.record(z.string(), text).default({}),
  topic: text.optional(),
})

/** Durations in milliseconds. */
export type SqsSettings = Omit<z.output<ReturnType<typeof optionsSchema>>, 'limits'> & {
  readonly endpoint: string | undefined
  readonly snsEndpoint: string | undefined
  readonly limits: { readonly [Name in keyof z.output<typeof limitsSchema>]-?: number }
}

export type SqsTopicSettings = z.output<typeof topicOptionsSchema>

/**
 * URL and native options as one.
 *
 * @throws {ConfigurationError} with every problem of either.
 */
export function parseSqsOptions(url: BrokerUrl, native: unknown): SqsSettings {
  const { endpoint, region } = readAddress(url)
  const { username: accessKeyId, password: secretAccessKey = '' } = url
  const options = parseConnectionOptions({
    adapter: 'sqs',
    url,
    native,
    schema: optionsSchema(url),
    query: {
      region: asText,
      prefix: asText,
      fanOut: asText,
      fanOutRefresh: asText,
      mirrorAttributes: asText,
      pollWait: asText,
      maxPolls: asNumber,
      gather: asText,
      requestTimeout: asText,
    },
    fromUrl: {
      region,
      credentials: accessKeyId === undefined ? undefined : { accessKeyId, secretAccessKey },
    },
  })
  const { limits, fanOut, snsEndpoint } = options
  const usual =
    fanOut === 'never' ? limits.queueBytes - failureRecordReserve : limits.topicBytes - attributeReserve
  return {
    ...options,
    endpoint,
    snsEndpoint: snsEndpoint ?? endpoint,
    limits: { ...limits, messageBytes: limits.messageBytes ?? usual },
  }
}

/** `sqs://REGION` is the service itself; `sqs+http://` and `sqs+https://` are an endpoint of one's own. */
function readAddress({ scheme, hosts, path }: BrokerUrl): {
  endpoint: string | undefined
  region: string | undefined
} {
  const [first, ...others] = hosts
  const fail = (message: string) => new ConfigurationError('URL', [{ path: 'url', message }])
  if (others.length > 0) throw fail('expected one host')
  if (path !== undefined)
    throw fail('a path has no meaning; the region goes into the query: ?region=eu-west-1')
  if (scheme === 'sqs') {
    if (first?.port !== undefined)
      throw fail('expected sqs://REGION; an endpoint is written sqs+https://host:port')
    return { endpoint: undefined, region: first?.host }
  }
  if (first === undefined) throw fail(`expected ${scheme}://host:port`)
  const host = first.host.includes(':') ? `[${first.host}]` : first.host
  const port = first.port === undefined ? '' : `:${first.port}`
  return { endpoint: `${scheme.slice('sqs+'.length)}://${host}${port}`, region: undefined }
}

/** @throws {ConfigurationError} with every problem. */
export function parseSqsTopicOptions({ name, native }: Pick<TopicSpec, 'name' | 'native'>): SqsTopicSettings {
  return parseOptions(topicOptionsSchema, native.sqs ?? {}, `native options of topic "${name}"`, 'native.sqs')
}
