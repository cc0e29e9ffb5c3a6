import {
  type Attributes,
  type Context,
  type Link,
  ProxyTracerProvider,
  type Span,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import { toError } from '@waybill/core/driver'
import { errorType } from '@waybill/figures'
import type { Failure } from './failure.ts'
import { attributeNames, instrumentation } from './names.ts'

interface SpanSettings {
  readonly kind: SpanKind
  readonly parent: Context
  readonly links?: Link[]
  readonly attributes?: Attributes
  /** Of the conventions, where the operation is one of several of it. Default: the operation. */
  readonly type?: 'settle' | 'send' | 'process'
  /** By `performance.now()`. Default: now. */
  readonly startTime?: number
}

/** The tracer for spans; undefined without an SDK, where nobody would have them. */
export function tracerOf(provider: TracerProvider = trace.getTracerProvider()): Tracer | undefined {
  const isIdle =
    provider instanceof ProxyTracerProvider && provider.getDelegateTracer(instrumentation) === undefined
  return isIdle ? undefined : provider.getTracer(instrumentation)
}

/** Starts the spans of one bus. */
export class Spans {
  readonly #common: Attributes
  readonly #tracer: Tracer

  constructor(tracer: Tracer, common: Attributes) {
    this.#common = common
    this.#tracer = tracer
  }

  /** `operation` is one of the conventions, or what a settlement is. */
  start(
    operation: string,
    topic: string,
    group: string | undefined,
    { kind, parent, links = [], attributes, type, startTime }: SpanSettings,
  ): Span {
    const all: Attributes = {
      ...this.#common,
      [attributeNames.operation]: operation,
      [attributeNames.operationType]: type ?? operation,
      [attributeNames.topic]: topic,
    }
    if (group !== undefined) all[attributeNames.group] = group
    Object.assign(all, attributes)
    const started = startTime === undefined ? {} : { startTime }
    return this.#tracer.startSpan(
      `${operation} ${topic}`,
      { kind, links, attributes: all, ...started },
      parent,
    )
  }
}

/** Ends it, with what it failed by; at a `performance.now()`, if it was begun at one. */
export function end(span: Span | undefined, failure?: Failure, endTime?: number): void {
  if (span === undefined) return
  if (failure !== undefined) {
    span.setAttribute(attributeNames.error, errorType(failure.error))
    span.setStatus({ code: SpanStatusCode.ERROR, message: toError(failure.error).message })
  }
  span.end(endTime)
}
