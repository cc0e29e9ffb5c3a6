import {
  type BrokerUrl,
  ConfigurationError,
  type Duration,
  parseDuration,
  parseOptions,
  type TopicSpec,
} from '@waybill/core/driver'
import { z } from 'zod'

/** Options of `connect({ native: { sqs: … } })`. Those marked "URL" may also stand in the URL's query; here they win. */
export interface SqsOptions {
  /** URL. Default: the URL's host (`sqs://eu-west-1`), else the SDK's default chain. */
  readonly region?: string
  /** Default: the user and password of the URL, else the SDK's default chain. */
  readonly credentials?: {
    readonly accessKeyId: string
    readonly secretAccessKey: string
    readonly sessionToken?: string
  }
  /** Of SNS, where it differs from that of SQS. Default: the URL's, or the service itself. */
  readonly snsEndpoint?: string
  /** Put before the name of every queue and topic. URL. Default: none. */
  readonly prefix?: string
  /**
   * When an SNS topic stands before the queues. `auto`: unless the topic has exactly one declared group. `always`: also
   * then. `never`: SNS is not used, topics with several groups are refused. URL. Default: `auto`.
   */
  readonly fanOut?: 'auto' | 'always' | 'never'
  /**
   * CloudEvents attributes to be mirrored as message attributes (`ce-type`), at most 8, for filter policies and foreign
   * readers that do not look into bodies. Each costs time at the service. Without `type` nothing is filtered by SNS.
   * Default: `id`, `source`, `type`.
   */
  readonly mirrorAttributes?: readonly string[]
  /** Tags for every queue and topic made, beside `waybill:topic` and `waybill:group`. */
  readonly tags?: Readonly<Record<string, string>>
  /** Of what is made: the id of a KMS key, or `sqs` for keys that SQS manages. Default: the service's default. */
  readonly encryption?: 'sqs' | { readonly kmsKeyId: string; readonly reuseSeconds?: number }
  /** How long queues that are made keep messages, dead letters too. At most 14 days. Default: 14 days. */
  readonly retention?: Duration
  /**
   * The safety net: after so many receipts SQS itself moves a message to the dead letters. It also counts releases, so
   * it must be well above what consumers allow. Up to 1000. Default: 100.
   */
  readonly maxReceiveCount?: number
  /**
   * How long a receive waits for messages, in whole seconds up to 20. Closing waits as long for polls under way. URL.
   * Default: 5 s.
   */
  readonly pollWait?: Duration
  /** How many receives of one consumer are under way at once at most. URL. Default: 10. */
  readonly maxPolls?: number
  /** How long a request may take, the waiting of a receive not included. URL. Default: 10 s. */
  readonly requestTimeout?: Duration
  /** How often the SDK itself tries a request; core tries again in any case. URL. Default: 1. */
  readonly maxAttempts?: number
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

function milliseconds(shortest: number, longest: number) {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const parsed = parseDuration(value)
    if (parsed !== undefined && parsed >= shortest && parsed <= longest) return parsed
    context.addIssue({
      code: 'custom',
      message: `expected a duration of ${shortest} to ${longest} ms, such as '5s'`,
    })
    return z.NEVER
  })
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
})

const text = z.string().min(1)

const optionsSchema = z.strictObject({
  region: z
    .string()
    .regex(/^[a-z]{2,}(-[a-z]+)+-\d+$/, 'expected a region such as eu-west-1')
    .optional(),
  credentials: z
    .strictObject({ accessKeyId: text, secretAccessKey: text, sessionToken: text.optional() })
    .optional(),
  snsEndpoint: z.url({ protocol: /^https?$/ }).optional(),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,20}$/, 'expected up to 20 letters, digits, "-" or "_"')
    .default(''),
  fanOut: z.enum(['auto', 'always', 'never']).default('auto'),
  mirrorAttributes: z
    .array(z.string().regex(/^[a-z0-9]+$/))
    .max(8)
    .default(['id', 'source', 'type']),
  tags: z.record(z.string(), z.string()).default({}),
  encryption: z
    .union([
      z.literal('sqs'),
      z.strictObject({ kmsKeyId: text, reuseSeconds: z.int().min(60).max(86_400).optional() }),
    ])
    .optional(),
  // Amazon SQS API Reference, CreateQueue, MessageRetentionPeriod.
  retention: milliseconds(60_000, 1_209_600_000).default(1_209_600_000),
  // Amazon SQS API Reference, CreateQueue, RedrivePolicy.
  maxReceiveCount: z.int().min(2).max(1000).default(100),
  // Amazon SQS API Reference, ReceiveMessage, WaitTimeSeconds.
  pollWait: milliseconds(0, 20_000).default(5000),
  maxPolls: z.coerce.number().int().min(1).max(100).default(10),
  requestTimeout: milliseconds(100, 300_000).default(10_000),
  maxAttempts: z.coerce.number().int().min(1).max(10).default(1),
  limits: limitsSchema.default(() => limitsSchema.parse({})),
})

const topicOptionsSchema = z.strictObject({
  queues: z.record(z.string(), text).default({}),
  deadLetterQueues: z.record(z.string(), text).default({}),
  topic: text.optional(),
})

const queryNames = ['region', 'prefix', 'fanOut', 'pollWait', 'maxPolls', 'requestTimeout', 'maxAttempts']

export type Options = Omit<z.output<typeof optionsSchema>, 'limits'> & {
  readonly endpoint: string | undefined
  readonly snsEndpoint: string | undefined
  readonly limits: { readonly [Name in keyof z.output<typeof limitsSchema>]-?: number }
}

export type TopicOptions = z.output<typeof topicOptionsSchema>

/**
 * What URL and native options say together.
 *
 * @throws {ConfigurationError} with every problem.
 */
export function readOptions(url: BrokerUrl, native: unknown): Options {
  const { endpoint, region } = readAddress(url)
  const unknown = Object.keys(url.query).filter((name) => !queryNames.includes(name))
  if (unknown.length > 0) {
    const message = `unknown; the query may have ${queryNames.join(', ')}`
    throw new ConfigurationError(
      'URL',
      unknown.map((name) => ({ path: `url?${name}`, message })),
    )
  }
  const { username, password } = url
  const given = typeof native === 'object' && native !== null && !Array.isArray(native) ? native : undefined
  const merged = {
    ...(region !== undefined && { region }),
    ...(username !== undefined && {
      credentials: { accessKeyId: username, secretAccessKey: password ?? '' },
    }),
    ...url.query,
    ...given,
  }
  const parsed = parseOptions(
    optionsSchema,
    native === undefined || given !== undefined ? merged : native,
    'options of sqs',
    'native.sqs',
  )
  const { limits, fanOut, snsEndpoint } = parsed
  const usual =
    fanOut === 'never' ? limits.queueBytes - failureRecordReserve : limits.topicBytes - attributeReserve
  return {
    ...parsed,
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
export function readTopicOptions({ name, native }: TopicSpec): TopicOptions {
  return parseOptions(topicOptionsSchema, native.sqs ?? {}, `native options of topic "${name}"`, 'native.sqs')
}
