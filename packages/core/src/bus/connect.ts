import { z } from 'zod'
import {
  type Adapter,
  contractVersion,
  type Driver,
  type DriverContext,
  type Feature,
  parseBrokerUrl,
} from '../driver.ts'
import { ConsoleReport } from '../events/console-report.ts'
import { BusEmitter, type BusListeners } from '../events/events.ts'
import { type Propagation, propagationSchema } from '../handling/propagation.ts'
import { type Clock, sleep, systemClock } from '../lib/clock.ts'
import { type Duration, toMilliseconds } from '../lib/duration.ts'
import { durationSchema } from '../lib/duration-schema.ts'
import { ConfigurationError, type ErrorCode, MessagingError, toMessagingError } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { requireNode } from '../lib/node-version.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { functionSchema, lazily, parseOptions } from '../lib/validation.ts'
import { type BodyFormatOptions, bodyFormatFields, bodyFormatOf } from '../messages/body-format.ts'
import { definedTopicSchema, type Topic } from '../messages/topic.ts'
import { features, requireFeature } from '../topology/features.ts'
import type { ProvisionMode } from '../topology/provisioner.ts'
import { loadAdapter } from './adapter-loader.ts'
import { Bus } from './bus.ts'

/** Options of single brokers by adapter name. Adapter packages add theirs by declaration merging. */
export interface NativeOptions {
  readonly [adapter: string]: unknown
}

export interface ConnectOptions extends BodyFormatOptions {
  /**
   * Where messages travel: `memory:` (this process), `memory:NAME` (shared by this process's buses of that name),
   * `amqp://…`, `kafka://…`, `sqs://REGION`, `redis://…`; see each adapter's README.
   */
  readonly url: string
  /** An adapter of a third party. Default: the package that serves the URL's scheme, loaded when it is needed. */
  readonly adapter?: Adapter
  /** Settings of single brokers, by adapter name; only those of the URL's adapter are used. */
  readonly native?: NativeOptions
  /**
   * `create` makes missing topics and groups, `verify` refuses to work without them, `none` does not look.
   * Default: `create`.
   */
  readonly provision?: ProvisionMode
  /** Features the application relies on. Connecting to a broker that lacks one fails as `unsupported`. */
  readonly requires?: readonly Feature[]
  /** Topics to provision while connecting. Others are provisioned when they are first used. */
  readonly topics?: readonly Topic[]
  /** Listeners that also hear what happens while connecting: `bus.on` comes too late for that. */
  readonly on?: BusListeners
  /**
   * Whether events that report a failure and have no listener are written to the console, each kind and reason once a
   * minute. Default: true.
   */
  readonly console?: boolean
  /** How long to try to connect. Default: 10 s. */
  readonly timeout?: Duration | 'forever'
  readonly signal?: AbortSignal
  /** Carries traces from sends to handlers. Default: handlers pass on the trace context that their message came with. */
  readonly propagation?: Propagation
  /**
   * Where replies travel: the same for all who request and reply, not `ordered`. Default: `defineTopic('waybill-replies')`.
   */
  readonly replyTopic?: Topic
  /** Another source of time, for tests. */
  readonly clock?: Clock
}

const urlHint = "expected a URL such as 'memory:' or 'amqp://localhost'"

const connectSchema = lazily(() =>
  z.strictObject({
    url: z
      .string({ error: urlHint })
      .min(1, urlHint)
      .transform((text, context) => {
        try {
          return parseBrokerUrl(text)
        } catch (error) {
          if (!(error instanceof ConfigurationError)) throw error
          for (const { message } of error.issues) context.addIssue({ code: 'custom', message })
          return z.NEVER
        }
      }),
    adapter: z
      .custom<Adapter>(
        (value) => typeof value === 'object' && value !== null && 'connect' in value && 'schemes' in value,
        'expected an adapter: an object with name, schemes and connect',
      )
      .optional(),
    native: z.record(z.string(), z.unknown()).default({}),
    provision: z.enum(['create', 'verify', 'none']).default('create'),
    requires: z.array(z.enum(features)).default([]),
    topics: z.array(definedTopicSchema()).default([]),
    console: z.boolean().default(true),
    on: z.record(z.string(), functionSchema().optional()).optional(),
    timeout: z
      .union([durationSchema(), z.literal('forever')])
      .default('10s')
      .transform((value) => (value === 'forever' ? undefined : toMilliseconds(value))),
    signal: z.instanceof(AbortSignal).optional(),
    ...bodyFormatFields(),
    propagation: propagationSchema().optional(),
    replyTopic: definedTopicSchema()
      .refine(({ ordered }) => !ordered, 'replies have no key: the topic may not be ordered')
      .optional(),
    clock: z
      .custom<Clock>(
        (value) =>
          typeof value === 'object' &&
          value !== null &&
          'now' in value &&
          'monotonic' in value &&
          'after' in value,
        'expected a clock: an object with now, monotonic and after',
      )
      .default(systemClock),
  }),
)

/**
 * Connects to the broker that the URL names and provisions `topics`. Keeps trying for `timeout` (10 s) while the broker
 * cannot be reached.
 *
 * ```ts
 * const bus = await connect({
 *   url: process.env.WAYBILL_URL ?? 'memory:',
 *   topics: [orders],
 *   requires: ['ordered', 'delay'],
 *   on: { failure: ({ what, error }) => log.error(what, error) },
 * })
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 * @throws {MessagingError} `adapter-missing`, `connection-failed`, `access-denied`, `unsupported`, `topology-missing`,
 * `topology-mismatch`, `timeout`, `aborted`.
 */
export async function connect(options: ConnectOptions): Promise<Bus> {
  requireNode(process.versions.node)
  const parsed = parseOptions(connectSchema(), options, 'connect options')
  const { url, clock, timeout, signal } = parsed
  const events = new BusEmitter(parsed.console ? new ConsoleReport().tell : undefined)
  events.onAll(options.on ?? {})
  const adapter = parsed.adapter ?? (await loadAdapter(url.scheme))
  if (!adapter.schemes.includes(url.scheme)) {
    const message = `the ${adapter.name} adapter serves ${adapter.schemes.map((each) => `${each}:`).join(' ')}, not ${url.scheme}:`
    throw new ConfigurationError('connect options', [{ path: 'url', message }])
  }
  checkContract(adapter)
  const over = new AbortController()
  const cancel = timeout === undefined ? () => {} : clock.after(timeout, () => over.abort())
  const limits: Limits = {
    clock,
    timeout,
    wanted: signal,
    signal: AbortSignal.any(signal === undefined ? [over.signal] : [over.signal, signal]),
    onFailure: (what, error) => events.emit('failure', { what, error }),
  }
  const context: DriverContext = {
    native: parsed.native[adapter.name],
    instance: newId(),
    clock,
    signal: limits.signal,
    emit: ({ type, ...event }) => events.emit(type, event),
  }
  const where = url.hosts.map(({ host, port }) => (port === undefined ? host : `${host}:${port}`)).join(', ')
  try {
    const connecting = `No connection to ${adapter.name}${where === '' ? '' : ` at ${where}`}`
    const driver = await keepTrying(limits, 'connection-failed', connecting, () =>
      closeIfLate(limits.signal, adapter.connect(url, context)),
    )
    const bus = new Bus(driver, events, { ...parsed, format: bodyFormatOf(parsed) })
    try {
      for (const feature of parsed.requires) requireFeature(driver, feature, 'requires')
      await keepTrying(limits, 'timeout', 'The topics were not provisioned', () =>
        bus.provision(parsed.topics, { signal: limits.signal }),
      )
      return bus
    } catch (error) {
      const closed = bus.close()
      // A caller whose time is up should not have to wait for a broker that hangs as well.
      if (!limits.signal.aborted) await closed
      throw error
    }
  } finally {
    cancel()
  }
}

/** @throws {MessagingError} `adapter-mismatch` */
function checkContract({ name, contractVersion: theirs }: Adapter): void {
  if (theirs === contractVersion) return
  const isUnknown = typeof theirs !== 'number'
  const written = isUnknown
    ? 'does not say which driver contract it was written for'
    : `was written for version ${theirs} of the driver contract`
  const older = isUnknown || theirs < contractVersion ? 'the adapter' : '@waybill/core'
  const what = `The ${name} adapter ${written}, and this @waybill/core has version ${contractVersion}`
  throw new MessagingError('adapter-mismatch', `${what}. Update ${older} so that the versions match`)
}

interface Limits {
  readonly clock: Clock
  readonly timeout: number | undefined
  /** The user's. */
  readonly wanted: AbortSignal | undefined
  /** The user's, or the time is over. */
  readonly signal: AbortSignal
  readonly onFailure: (what: string, error: MessagingError) => void
}

/** Tries until it succeeds, the limits are reached, or trying again makes no sense. */
async function keepTrying<Result>(
  { clock, timeout, wanted, signal, onFailure }: Limits,
  code: ErrorCode,
  what: string,
  run: () => Promise<Result>,
): Promise<Result> {
  let lastError: MessagingError | undefined
  for (let attempt = 1; ; attempt += 1) {
    try {
      signal.throwIfAborted()
      return await unlessAborted(signal, run())
    } catch (thrown) {
      if (wanted?.aborted) {
        throw new MessagingError('aborted', 'The signal given to connect was aborted', {
          cause: wanted.reason,
        })
      }
      if (signal.aborted) {
        const why = lastError === undefined ? 'it did not answer' : lastError.message
        const options = { retryable: true, cause: lastError }
        throw new MessagingError(code, `${what} within ${timeout} ms: ${why}`, options)
      }
      lastError = toMessagingError(thrown, what)
      if (!lastError.retryable) throw lastError
      onFailure(what, lastError)
      await sleep(clock, reconnectBackoff(attempt), signal)
    }
  }
}

function unlessAborted<Result>(signal: AbortSignal, promise: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** A driver that arrives after the signal has fired is closed, because nobody is waiting for it. */
async function closeIfLate(signal: AbortSignal, connecting: Promise<Driver>): Promise<Driver> {
  const driver = await connecting
  // There is nobody to report an error to.
  if (signal.aborted) driver.close().catch(() => {})
  return driver
}
