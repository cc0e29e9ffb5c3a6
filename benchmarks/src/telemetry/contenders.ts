import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { SimpleSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Bus } from '@waybill/core'
import { instrument } from '@waybill/opentelemetry'
import { prometheusMetrics } from '@waybill/prometheus'

/** Bare: no telemetry. Idle: instrumented, without an SDK. Traces: with an SDK whose exporter throws everything away. */
export const contenders = ['bare', 'idle', 'traces', 'traces and metrics', 'prometheus'] as const

export const works = ['send', 'handle'] as const

const nowhere: SpanExporter = {
  export: (_spans, done) => done({ code: 0 }),
  shutdown: async () => {},
}

/** Puts the contender's telemetry on the bus. */
export function equip(bus: Bus, contender: string): void {
  switch (contender) {
    case 'idle':
      instrument(bus)
      return
    case 'traces':
    case 'traces and metrics': {
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
      const tracerProvider = new TracerProvider({
        spanProcessors: [new SimpleSpanProcessor({ exporter: nowhere })],
      })
      const metrics = contender === 'traces and metrics'
      instrument(bus, { tracerProvider, meterProvider: new MeterProvider(), metrics })
      return
    }
    case 'prometheus':
      prometheusMetrics(bus)
      return
    default:
  }
}
