import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { systemClock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { millisecondsSchema } from '../lib/duration-schema.ts'
import { toError } from '../lib/errors.ts'
import { functionSchema, lazily, parseOptions } from '../lib/validation.ts'
import { within } from '../lib/within.ts'
import { requireBus } from './require-bus.ts'

export interface RunOptions {
  /**
   * How long shutting down may take in all: `before`, running handlers, pending sends, `after`. Default: 25 s, which is
   * within the 30 s that Kubernetes waits between SIGTERM and SIGKILL (`terminationGracePeriodSeconds`).
   */
  readonly timeout?: Duration
  /** Default: SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[]
  /** Runs first: take no more requests, for example. */
  readonly before?: () => unknown
  /** Runs when the bus is closed: close the database, flush telemetry. */
  readonly after?: () => unknown
  /** Another way to say that it is time to stop, for tests and supervisors. */
  readonly signal?: AbortSignal
  /**
   * Whether to end the process should something still keep it alive two seconds after all this. Default: true.
   */
  readonly exit?: boolean
}

export interface RunReport {
  /** The signal that came; undefined when `options.signal` fired. */
  readonly signal: NodeJS.Signals | undefined
  /** Everything ended in time: no handler was abandoned and nothing failed. The exit code is 0 then, and else 1. */
  readonly clean: boolean
  /** How many handlers were still running when the time was over; their messages went back to their groups. */
  readonly abandoned: number
  /** What failed or took too long, in order. */
  readonly errors: readonly Error[]
}

const runSchema = lazily(() =>
  z.strictObject({
    timeout: millisecondsSchema().prefault('25s'),
    signals: z
      .array(
        z.custom<NodeJS.Signals>(
          (value) => typeof value === 'string' && Object.hasOwn(signalNumbers, value),
          `expected one of ${Object.keys(signalNumbers).join(', ')}`,
        ),
      )
      .min(1)
      .default(['SIGTERM', 'SIGINT']),
    before: functionSchema().optional(),
    after: functionSchema().optional(),
    signal: z.instanceof(AbortSignal).optional(),
    exit: z.boolean().default(true),
  }),
)

// The numbers that POSIX gives them; a process that a signal ended has 128 and its number as exit code in shells.
const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR2: 12,
  SIGTERM: 15,
}

// What the broker's client and the database get for closing their connections, beyond the timeout.
const graceMs = 5000

const lingerMs = 2000

/** How many runs of this process have not ended: an application may have one for each of its buses. */
let running = 0

/**
 * Keeps the process running until SIGTERM or SIGINT, then shuts down in order: `before`; consumers stop and their handlers
 * end; what handlers have put into an outbox whose relay sends through this bus goes out; pending sends; connections;
 * `after`. It is bounded by `timeout` and a few seconds more. A second signal ends the process at once.
 *
 * The exit code is 0 when everything ended in time, 1 when something failed or was abandoned, and 128 and the signal's
 * number after a second signal. A `process.exitCode` that the application has set stays where all ended in time.
 *
 * ```ts
 * const bus = await connect({ url: process.env.WAYBILL_URL ?? 'memory:' })
 * await bus.consumer('billing').on(OrderPlaced, charge).start()
 * await runUntilSignal(bus, { timeout: '25s', before: () => server.close(), after: () => database.close() })
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 */
export async function runUntilSignal(
  bus: Bus | readonly Bus[],
  options: RunOptions = {},
): Promise<RunReport> {
  const buses = [bus].flat()
  for (const each of buses) requireBus(each, 'runUntilSignal')
  const { signals, timeout, exit, ...parsed } = parseOptions(runSchema(), options, 'runUntilSignal')
  running += 1
  const { promise: isTime, resolve: stop } = Promise.withResolvers<NodeJS.Signals | undefined>()
  let isStopping = false
  const onSignal = (signal: NodeJS.Signals) => {
    if (isStopping) process.exit(128 + (signalNumbers[signal] ?? 0))
    isStopping = true
    stop(signal)
  }
  const onAbort = () => {
    isStopping = true
    stop(undefined)
  }
  for (const each of signals) process.on(each, onSignal)
  parsed.signal?.addEventListener('abort', onAbort, { once: true })
  if (parsed.signal?.aborted) onAbort()
  // A bus in memory keeps no process alive.
  const alive = setInterval(() => {}, 2 ** 30)
  const signal = await isTime
  const report = { signal, ...(await shutDown(buses, timeout, options)) }
  if (!report.clean) process.exitCode = 1
  // What the application has found to be wrong stays told.
  else process.exitCode ??= 0
  clearInterval(alive)
  parsed.signal?.removeEventListener('abort', onAbort)
  running -= 1
  // While something else keeps the process alive, a signal still has to end it.
  if (exit) setTimeout(() => running === 0 && process.exit(), lingerMs).unref()
  else for (const each of signals) process.off(each, onSignal)
  return report
}

async function shutDown(
  buses: readonly Bus[],
  timeoutMs: number,
  { before, after }: Pick<RunOptions, 'before' | 'after'>,
): Promise<Omit<RunReport, 'signal'>> {
  const errors: Error[] = []
  let abandoned = 0
  const until = systemClock.monotonic() + timeoutMs
  const left = () => Math.max(0, until - systemClock.monotonic())
  const step = async (what: string, maxMs: number, run: () => unknown) => {
    const ending = (async () => run())()
    const isDone = await within(systemClock, maxMs, ending)
    if (!isDone) errors.push(new Error(`${what} took longer than the ${Math.round(maxMs)} ms that were left`))
    else await ending.catch((thrown: unknown) => errors.push(toError(thrown)))
    // It may still fail later.
    ending.catch(() => {})
  }
  const ends = buses.map((bus) =>
    bus.observe(({ name, event }) => {
      if (name === 'abandoned') abandoned += 1
      if (name === 'failure' && event.what.startsWith('closing')) errors.push(event.error)
    }),
  )
  if (before !== undefined) await step('`before`', left(), before)
  const timeout = left()
  const closeAll = () => Promise.all(buses.map((bus) => bus.close({ timeout })))
  await step('Closing the bus', timeout + graceMs, closeAll)
  if (after !== undefined) await step('`after`', Math.max(left(), graceMs), after)
  for (const end of ends) end()
  return { clean: abandoned === 0 && errors.length === 0, abandoned, errors }
}
