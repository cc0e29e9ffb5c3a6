import { metrics } from '@opentelemetry/api'
import type { Bus } from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import { Reader, Recorder } from '@waybill/figures'
import { Instruments, isCollected } from './metrics.ts'
import { attributeNames, instrumentation, systemOf } from './names.ts'
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
 * Defaults: spans and metrics, `traceStructure` `joined`, no groups counted, counts at most 10 s old, 5 s to read them.
 *
 * @throws {ConfigurationError} listing every problem of the options, or when the bus has a propagation already.
 */
export function instrument(bus: Bus, options: InstrumentOptions = {}): Bus {
  const parsed = parseOptions(optionsSchema, options, 'instrument options')
  const { traces, tracerProvider, meterProvider, traceStructure, attributes, ...reading } = parsed
  if (!traces && !parsed.metrics) return bus
  const system = systemOf(bus.driver)
  const meter = (meterProvider ?? metrics.getMeterProvider()).getMeter(instrumentation)
  const isMeasured = parsed.metrics && isCollected(meter)
  const instruments = isMeasured ? new Instruments(meter, system) : undefined
  const tracer = traces ? tracerOf(tracerProvider) : undefined
  // Nobody looks: nothing is put on the bus.
  if (tracer === undefined && instruments === undefined) return bus
  installTelemetry(bus, {
    system,
    joined: traceStructure === 'joined',
    spans: tracer && new Spans(tracer, { ...attributes, [attributeNames.system]: system }),
    recorder: instruments && new Recorder(bus, instruments),
    attempts: new WeakMap(),
  })
  instruments?.observe(meter, new Reader(bus, reading))
  return bus
}
