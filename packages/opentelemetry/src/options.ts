import type { Attributes, MeterProvider, TracerProvider } from '@opentelemetry/api'
import { type FiguresOptions, figuresFields } from '@waybill/figures'
import { z } from 'zod'

export interface InstrumentOptions extends FiguresOptions {
  /** Whether there are spans. Default: true. */
  readonly traces?: boolean
  /** Whether there are metrics. Default: true. */
  readonly metrics?: boolean
  /**
   * `joined`: what is done with a single message is part of the trace that it was sent in. `linked`: it begins a trace of its
   * own, with a link to the send, as is usual for messages that wait for days. Batches always do. Default: `joined`.
   */
  readonly traceStructure?: 'joined' | 'linked'
  /** Added to every span, such as `{ 'server.address': 'broker.example.com' }`. Default: none. */
  readonly attributes?: Attributes
  /** Default: the global one. */
  readonly tracerProvider?: TracerProvider
  /** Default: the global one of the moment: set up the SDK first. */
  readonly meterProvider?: MeterProvider
}

function provider<Value>(method: string) {
  return z.custom<Value>(
    (value) => typeof value === 'object' && value !== null && method in value,
    `expected a provider: an object with ${method}()`,
  )
}

export const optionsSchema = z.strictObject({
  traces: z.boolean().default(true),
  metrics: z.boolean().default(true),
  traceStructure: z.enum(['joined', 'linked']).default('joined'),
  attributes: z
    .record(
      z.string(),
      z.custom<NonNullable<Attributes[string]>>((value) => value !== undefined && value !== null),
    )
    .default({}),
  tracerProvider: provider<TracerProvider>('getTracer').optional(),
  meterProvider: provider<MeterProvider>('getMeter').optional(),
  ...figuresFields(),
})
