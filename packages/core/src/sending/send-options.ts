import { z } from 'zod'
import type { Duration } from '../lib/duration.ts'
import { durationSchema, millisecondsSchema } from '../lib/duration-schema.ts'
import type { Issue } from '../lib/errors.ts'
import { lazily, toIssues, wholeText } from '../lib/validation.ts'
import { isReservedName } from '../messages/cloud-events.ts'
import { isTraceparent, isTracestate } from '../messages/trace-context.ts'

export interface ProducerOptions {
  /** Who sends: the CloudEvents `source` of each message, a URI reference. Default: `waybill`. */
  readonly source?: string
  /** How long a send may take, including a broker restart and waiting for room. Default: 30 s. */
  readonly timeout?: Duration
  /** Bytes that may be on their way to the broker at once; further sends wait. Default: 16 MiB. */
  readonly maxInFlightBytes?: number
}

export interface SendOptions {
  /** Default: a new UUIDv7. Give it again to send the same message again. */
  readonly id?: string
  /** Instead of the definition's `key`. */
  readonly key?: string
  /** How long the message is held back; up to `capabilities.maxDelayMs`. Needs the feature `delay`. Default: none. */
  readonly delay?: Duration
  /** 0 (lowest) to 9. Needs the feature `priority`. Default: the broker's. */
  readonly priority?: number
  /** How many handler calls it gets in each group, instead of what their retry policies say; 1 to 10,000. */
  readonly attempts?: number
  /** How long the message is worth delivering, counted from now. Default: for ever. */
  readonly expiresIn?: Duration
  /** Names and values, carried beside the data. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Default: that of the message being handled, otherwise none. */
  readonly correlationId?: string
  /** Default: the id of the message being handled, otherwise none. */
  readonly causationId?: string
  /**
   * W3C Trace Context, such as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`. Default: of the current context with
   * a `propagation`, otherwise that of the message being handled.
   */
  readonly traceparent?: string
  /** W3C Trace Context. Only beside a `traceparent`, which it belongs to. */
  readonly tracestate?: string
  /** Ends the wait with an `aborted` error. */
  readonly signal?: AbortSignal
  /** Instead of the producer's. */
  readonly timeout?: Duration
}

const transportHeaders = Symbol('waybill.transportHeaders')

/** Options with headers of Waybill's own. Middleware that replaces options keeps them, as it keeps all that it spreads. */
export function withTransportHeaders(
  options: SendOptions,
  headers: Readonly<Record<string, string>>,
): SendOptions {
  return Object.defineProperty({ ...options }, transportHeaders, { value: headers, enumerable: true })
}

export function transportHeadersOf(options: SendOptions): Readonly<Record<string, string>> | undefined {
  const marked: SendOptions & { readonly [transportHeaders]?: Readonly<Record<string, string>> } = options
  const headers = marked[transportHeaders]
  if (headers !== undefined) taken.add(headers)
  return headers
}

/** When a message was stored that is sent later. */
export interface StoredTimes {
  readonly timestamp: Date
  readonly expiresAt: Date | undefined
  /** Called once the message is past middleware, codec and stages: from here on the order of its key is kept. */
  readonly onHandedOver: (() => void) | undefined
}

const storedTimes = Symbol('waybill.storedTimes')

/** Options of a message as of another time than its send. Kept by middleware as transport headers are. */
export function withStoredTimes(options: SendOptions, times: StoredTimes): SendOptions {
  return Object.defineProperty({ ...options }, storedTimes, { value: times, enumerable: true })
}

export function storedTimesOf(options: SendOptions): StoredTimes | undefined {
  const marked: SendOptions & { readonly [storedTimes]?: StoredTimes } = options
  return marked[storedTimes]
}

const taken = new WeakSet<Readonly<Record<string, string>>>()

/** Whether the headers came as far as a message: middleware may throw options away. */
export function wereTaken(headers: Readonly<Record<string, string>>): boolean {
  return taken.has(headers)
}

/** The options of a send without options, so that the usual case is recognised by identity. */
export const noOptions: SendOptions = Object.freeze({})

// RFC 3986, appendix A: the characters of a URI reference, others percent-encoded. Consumers that check events refuse others.
const uriReference = /^(?:[\w\-.~:/?#[\]@!$&'()*+,;=]|%[0-9a-f]{2})+$/i

export const producerSchema = lazily(() =>
  z.strictObject({
    source: z
      .string()
      .regex(
        uriReference,
        'expected a URI reference without spaces, such as "checkout" or "https://example.com/shop"',
      )
      .default('waybill'),
    timeout: millisecondsSchema().prefault('30s'),
    maxInFlightBytes: z
      .int()
      .min(1)
      .default(16 * 1024 * 1024),
  }),
)

// Names of RFC 9110 tokens pass every transport; the value may be any text.
const metadataSchema = lazily(() =>
  z.record(
    z
      .string()
      .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/, 'expected a name of letters, digits and punctuation'),
    wholeText(),
  ),
)

const sendSchema = lazily(() =>
  z
    .strictObject({
      id: wholeText().min(1).max(256).optional(),
      key: wholeText().min(1).max(1024).optional(),
      delay: durationSchema().optional(),
      priority: z.int().min(0).max(9).optional(),
      attempts: z.int().min(1).max(10_000).optional(),
      expiresIn: durationSchema().optional(),
      metadata: metadataSchema()
        .superRefine((metadata, context) => {
          for (const name of Object.keys(metadata).filter(isReservedName)) {
            context.addIssue({
              code: 'custom',
              path: [name],
              message: 'the name is reserved; use the option for it or another name',
            })
          }
        })
        .optional(),
      correlationId: wholeText().min(1).optional(),
      causationId: wholeText().min(1).optional(),
      traceparent: z
        .string()
        .refine(
          isTraceparent,
          'expected a W3C traceparent such as "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"',
        )
        .optional(),
      tracestate: z
        .string()
        .refine(isTracestate, 'expected a W3C tracestate such as "vendor=value,other=value"')
        .optional(),
      signal: z.instanceof(AbortSignal).optional(),
      timeout: durationSchema().optional(),
    })
    .refine(({ traceparent, tracestate }) => tracestate === undefined || traceparent !== undefined, {
      path: ['tracestate'],
      message: 'it belongs to a traceparent; give both',
    }),
)

/** Issues with the option or the data they are about put before their paths. */
export function under(root: string, issues: readonly Issue[]): Issue[] {
  return issues.map(({ path, message }) => ({ path: path === '' ? root : `${root}.${path}`, message }))
}

/** What is wrong with the options of a send; empty when nothing is. */
export function checkSendOptions(options: SendOptions): Issue[] {
  const result = sendSchema().safeParse(options)
  return result.success ? [] : under('options', toIssues(result.error))
}
