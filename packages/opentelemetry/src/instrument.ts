import { metrics } from '@opentelemetry/api'
import type { Bus } from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import { Reader, Recorder, requireMeasured } from '@waybill/figures'
import { followJobs } from './jobs.ts'
import { Instruments, isCollected } from './metrics.ts'
import { attributeNames, instrumentation, jobSystem, systemOf } from './names.ts'
import { type InstrumentOptions, optionsSchema } from './options.ts'
import { Spans, tracerOf } from './spans.ts'
import { installTelemetry } from './telemetry.ts'

/**
 * Traces and measures what goes through a bus, by OpenTelemetry's conventions for messaging. Call it before consumers start,
 * and once for a bus. The SDK has to be set up before: without one, or switched off, nothing is made and nothing is spent.
 *
 * ```ts
 * const bus = instrument(await connect({ url: process.env.WAYBILL_URL }), { topics: [orders] })
 * ```
 *
 * Jobs have their own spans and metrics: `instrument(bus, { jobs: { main: jobs } })`, or `instrument(undefined, { jobs: { main: jobs } })`
 * where there is no bus.
 *
 * Defaults: spans and metrics, `traceStructure` `joined`, no groups counted, counts at most 10 s old, 5 s to read them.
 *
 * @throws {ConfigurationError} listing every problem of the options, when the bus has a propagation already, or when there is
 * nothing to follow.
 */
export function instrument(bus: Bus, options?: InstrumentOptions): Bus
export function instrument(bus: Bus | undefined, options?: InstrumentOptions): Bus | undefined
export function instrument(bus: Bus | undefined, options: InstrumentOptions = {}): Bus | undefined {
  const parsed = parseOptions(optionsSchema, options, 'instrument options')
  const { traces, tracerProvider, meterProvider, traceStructure, attributes, ...reading } = parsed
  requireMeasured(bus, reading)
  if (!traces && !parsed.metrics) return bus
  const system = bus === undefined ? jobSystem : systemOf(bus.driver)
  const meter = (meterProvider ?? metrics.getMeterProvider()).getMeter(instrumentation)
  const isMeasured = parsed.metrics && isCollected(meter)
  const instruments = isMeasured ? new Instruments(meter, system) : undefined
  const tracer = traces ? tracerOf(tracerProvider) : undefined
  // Nobody looks: nothing is put on the bus.
  if (tracer === undefined && instruments === undefined) return bus
  const recorder = instruments && new Recorder(bus, instruments)
  const joined = traceStructure === 'joined'
  const spansOf = (messagingSystem: string) =>
    tracer && new Spans(tracer, { ...attributes, [attributeNames.system]: messagingSystem })
  if (bus !== undefined)
    installTelemetry(bus, { system, joined, spans: spansOf(system), recorder, attempts: new WeakMap() })
  for (const jobs of Object.values(reading.jobs))
    followJobs(jobs, { joined, spans: spansOf(jobSystem), recorder })
  instruments?.observe(meter, new Reader(bus, reading))
  return bus
}
