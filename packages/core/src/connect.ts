import { z } from 'zod'
import { loadAdapter } from './adapter-loader.ts'
import { Bus } from './bus.ts'
import { type Clock, sleep, systemClock } from './clock.ts'
import { type Adapter, type Driver, type DriverContext, type Feature, parseBrokerUrl } from './driver.ts'
import { type Duration, toMilliseconds } from './duration.ts'
import { ConfigurationError, MessagingError, toMessagingError } from './errors.ts'
import { BusEmitter } from './events.ts'
import { features, requireFeature } from './features.ts'
import { newId } from './new-id.ts'
import type { ProvisionMode } from './provisioner.ts'
import { reconnectBackoff } from './reconnect-backoff.ts'
import { durationSchema } from './retry.ts'
import { definedTopicSchema, type Topic } from './topic.ts'
import { parseOptions } from './validation.ts'

/** Options of single brokers by adapter name. Adapter packages add theirs by declaration merging. */
export interface NativeOptions {
  readonly [adapter: string]: unknown
}

export interface ConnectOptions {
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
  /** Features the application relies on: connecting to a broker that lacks one fails. */
  readonly requires?: readonly Feature[]
  /** Topics to provision while connecting; others are at their first use. */
  readonly topics?: readonly Topic[]
  /** How long to try to connect. Default: 10 s. */
  readonly timeout?: Duration | 'forever'
  readonly signal?: AbortSignal
  /** Another source of time, for tests. */
  readonly clock?: Clock
}

const connectSchema = z.strictObject({
  url: z
    .string({ error: "expected a URL such as 'memory:' or 'amqp://localhost'" })
    .min(1, "expected a URL such as 'memory:' or 'amqp://localhost'"),
  adapter: z
    .custom<Adapter>(
      (value) => typeof value === 'object' && value !== null && 'connect' in value && 'schemes' in value,
      'expected an adapter: an object with name, schemes and connect',
    )
    .optional(),
  native: z.record(z.string(), z.unknown()).default({}),
  provision: z.enum(['create', 'verify', 'none']).default('create'),
  requires: z.array(z.enum(features)).default([]),
  topics: z.array(definedTopicSchema).default([]),
  timeout: z
    .union([durationSchema, z.literal('forever')])
    .default('10s')
    .transform((value) => (value === 'forever' ? undefined : toMilliseconds(value))),
  signal: z.instanceof(AbortSignal).optional(),
  clock: z
    .custom<Clock>(
      (value) => typeof value === 'object' && value !== null && 'now' in value && 'after' in value,
    )
    .default(systemClock),
})

/**
 * Connects to the broker the URL names.
 *
 * @throws {ConfigurationError} listing every problem of the options.
 * @throws {MessagingError} `adapter-missing`, `connection-failed`, `access-denied`, `unsupported`, `topology-missing`,
 * `aborted`.
 */
export async function connect(options: ConnectOptions): Promise<Bus> {
  const parsed = parseOptions(connectSchema, options, 'connect options')
  const url = parseBrokerUrl(parsed.url)
  const adapter = parsed.adapter ?? (await loadAdapter(url.scheme))
  if (!adapter.schemes.includes(url.scheme)) {
    const message = `the ${adapter.name} adapter serves ${adapter.schemes.map((each) => `${each}:`).join(' ')}, not ${url.scheme}:`
    throw new ConfigurationError('connect options', [{ path: 'url', message }])
  }
  const events = new BusEmitter()
  const driver = await open(adapter, parsed, {
    native: parsed.native[adapter.name],
    instance: newId(),
    clock: parsed.clock,
    emit: ({ type, ...event }) => events.emit(type, event),
  })
  const bus = new Bus(driver, events, parsed)
  try {
    for (const feature of parsed.requires) requireFeature(driver, feature, 'requires')
    await bus.provision(parsed.topics)
    return bus
  } catch (error) {
    await bus.close()
    throw error
  }
}

/** Tries until it succeeds, the time is over, or trying again makes no sense. */
async function open(
  adapter: Adapter,
  options: z.output<typeof connectSchema>,
  context: Omit<DriverContext, 'signal'>,
): Promise<Driver> {
  const { clock, timeout, signal } = options
  const url = parseBrokerUrl(options.url)
  const over = new AbortController()
  const cancel = timeout === undefined ? () => {} : clock.after(timeout, () => over.abort())
  const both = AbortSignal.any(signal === undefined ? [over.signal] : [over.signal, signal])
  const where = url.hosts.map(({ host, port }) => (port === undefined ? host : `${host}:${port}`)).join(', ')
  let lastError: MessagingError | undefined
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        both.throwIfAborted()
        return await unless(both, adapter.connect(url, { ...context, signal: both }))
      } catch (thrown) {
        if (!both.aborted) lastError = toMessagingError(thrown, `Connecting to ${adapter.name} failed`)
        if (lastError !== undefined && !lastError.retryable && !both.aborted) throw lastError
        if (both.aborted) {
          const why = lastError === undefined ? 'it did not answer' : lastError.message
          throw signal?.aborted
            ? new MessagingError('aborted', 'The signal given to connect was aborted', {
                cause: signal.reason,
              })
            : new MessagingError(
                'connection-failed',
                `No connection to ${adapter.name} at ${where} within ${timeout} ms: ${why}`,
                {
                  retryable: true,
                  cause: lastError,
                },
              )
        }
        await sleep(clock, reconnectBackoff(attempt), both)
      }
    }
  } finally {
    cancel()
  }
}

/** The driver, unless the signal fires first; one that comes too late is closed. */
function unless(signal: AbortSignal, connecting: Promise<Driver>): Promise<Driver> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(signal.reason)
      connecting.then(
        (driver) => driver.close(),
        () => {},
      )
    }
    signal.addEventListener('abort', onAbort, { once: true })
    connecting.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
