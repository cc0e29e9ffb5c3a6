import { z } from 'zod'
import { type Adapter, contractVersion, type Driver, type DriverContext, parseBrokerUrl } from '../driver.ts'
import { type Clock, sleep, systemClock } from '../lib/clock.ts'
import { type Duration, toMilliseconds } from '../lib/duration.ts'
import { durationSchema } from '../lib/duration-schema.ts'
import { ConfigurationError, type ErrorCode, MessagingError, toMessagingError } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { lazily } from '../lib/validation.ts'
import { loadAdapter } from './adapter-loader.ts'

/** Options of single brokers by adapter name. Adapter packages add theirs by declaration merging. */
export interface NativeOptions {
  readonly [adapter: string]: unknown
}

/** Which broker, and how long to try to reach it. */
export interface OpeningOptions {
  /**
   * Where messages travel: `memory:` (this process), `memory:NAME` (shared by this process's buses of that name),
   * `amqp://…`, `kafka://…`, `sqs://REGION`, `redis://…`; see each adapter's README.
   */
  readonly url: string
  /** An adapter of a third party. Default: the package that serves the URL's scheme, loaded when it is needed. */
  readonly adapter?: Adapter
  /** Settings of single brokers, by adapter name; only those of the URL's adapter are used. */
  readonly native?: NativeOptions
  /** How long to try to connect. Default: 10 s. */
  readonly timeout?: Duration | 'forever'
  readonly signal?: AbortSignal
  /** Another source of time, for tests. */
  readonly clock?: Clock
}

const urlHint = "expected a URL such as 'memory:' or 'amqp://localhost'"

export const openingFields = lazily(() => ({
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
  timeout: z
    .union([durationSchema(), z.literal('forever')])
    .default('10s')
    .transform((value) => (value === 'forever' ? undefined : toMilliseconds(value))),
  signal: z.instanceof(AbortSignal).optional(),
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
}))

const openingSchema = lazily(() => z.strictObject(openingFields()))

/** Opening options that have been parsed. */
export type ParsedOpening = z.output<ReturnType<typeof openingSchema>>

export interface OpeningListeners {
  readonly emit: DriverContext['emit']
  /** An attempt failed, and another follows. */
  readonly onFailure: (what: string, error: MessagingError) => void
}

/** The time in which a connection must be there, and what is tried again while it lasts. */
export class Opening {
  /** The user's has fired, or the time is over. */
  readonly signal: AbortSignal
  readonly #options: ParsedOpening
  readonly #listeners: OpeningListeners
  readonly #cancel: () => void

  constructor(options: ParsedOpening, listeners: OpeningListeners) {
    const { clock, timeout, signal } = options
    const over = new AbortController()
    this.#options = options
    this.#listeners = listeners
    this.#cancel = timeout === undefined ? () => {} : clock.after(timeout, () => over.abort())
    this.signal = AbortSignal.any(signal === undefined ? [over.signal] : [over.signal, signal])
  }

  /**
   * Loads the adapter and opens its driver.
   *
   * @throws {ConfigurationError} when the adapter does not serve the URL.
   * @throws {MessagingError} `adapter-missing`, `adapter-mismatch`, `connection-failed`, `access-denied`, `aborted`.
   */
  async open(): Promise<Driver> {
    const { url, native, clock } = this.#options
    const adapter = this.#options.adapter ?? (await loadAdapter(url.scheme))
    if (!adapter.schemes.includes(url.scheme)) {
      const message = `the ${adapter.name} adapter serves ${adapter.schemes.map((each) => `${each}:`).join(' ')}, not ${url.scheme}:`
      throw new ConfigurationError('connect options', [{ path: 'url', message }])
    }
    checkContract(adapter)
    const context: DriverContext = {
      native: native[adapter.name],
      instance: newId(),
      clock,
      signal: this.signal,
      emit: this.#listeners.emit,
    }
    const where = url.hosts
      .map(({ host, port }) => (port === undefined ? host : `${host}:${port}`))
      .join(', ')
    const what = `No connection to ${adapter.name}${where === '' ? '' : ` at ${where}`}`
    return this.keepTrying('connection-failed', what, (signal) =>
      closeIfLate(signal, adapter.connect(url, context)),
    )
  }

  /** Tries until it succeeds, the time is over, or trying again makes no sense. */
  async keepTrying<Result>(
    code: ErrorCode,
    what: string,
    run: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const { signal: wanted, timeout, clock } = this.#options
    let lastError: MessagingError | undefined
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.signal.throwIfAborted()
        return await unlessAborted(this.signal, run(this.signal))
      } catch (thrown) {
        if (wanted?.aborted) {
          throw new MessagingError('aborted', 'The signal given to connect was aborted', {
            cause: wanted.reason,
          })
        }
        if (this.signal.aborted) {
          const why = lastError === undefined ? 'it did not answer' : lastError.message
          const options = { retryable: true, cause: lastError }
          throw new MessagingError(code, `${what} within ${timeout} ms: ${why}`, options)
        }
        lastError = toMessagingError(thrown, what)
        if (!lastError.retryable) throw lastError
        this.#listeners.onFailure(what, lastError)
        await sleep(clock, reconnectBackoff(attempt), this.signal)
      }
    }
  }

  /** The time no longer counts. */
  end(): void {
    this.#cancel()
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
