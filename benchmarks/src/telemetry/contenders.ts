import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { SimpleSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Bus } from '@waybill/core'
import { instrument } from '@waybill/opentelemetry'
import { prometheusMetrics } from '@waybill/prometheus'
import { tracedByHand } from './by-hand.ts'

/** What the others are held against. */
export const bare = 'no telemetry'

/** What is put on the bus, by name. The exporter of the SDK throws everything away. */
const contenders: Readonly<Record<string, (bus: Bus) => void>> = {
  [bare]: () => {},
  // How far apart two of the same are.
  'no telemetry, once more': () => {},
  'instrumented, without an SDK': (bus) => void instrument(bus),
  'spans by hand with the SDK': (bus) => tracedByHand(bus, tracerProvider().getTracer('by-hand')),
  'spans of instrument()': (bus) =>
    void instrument(bus, { tracerProvider: tracerProvider(), metrics: false }),
  'spans and metrics of instrument()': (bus) =>
    void instrument(bus, { tracerProvider: tracerProvider(), meterProvider: new MeterProvider() }),
  'prometheusMetrics()': (bus) => void prometheusMetrics(bus),
}

export const names: readonly string[] = Object.keys(contenders)

/** Puts the contender's telemetry on the bus. */
export function equip(bus: Bus, name: string): void {
  contenders[name]?.(bus)
}

function tracerProvider(): TracerProvider {
  const exporter: SpanExporter = { export: (_spans, done) => done({ code: 0 }), shutdown: async () => {} }
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  return new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
}
