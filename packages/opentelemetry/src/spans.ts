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
import { attributeNames, instrumentation } from './names.ts'

/** The operations of the conventions. */
export type Operation = 'send' | 'receive' | 'process' | 'settle'

interface SpanSettings {
  readonly kind: SpanKind
  readonly parent: Context
  readonly links?: Link[]
  readonly attributes?: Attributes
}

/** Starts the spans of one bus. */
export class Spans {
  readonly #common: Attributes
  readonly #provider: TracerProvider | undefined
  #tracer: Tracer | undefined

  constructor(provider: TracerProvider | undefined, common: Attributes) {
    this.#common = common
    this.#provider = provider
  }

  /** Whether anybody wants spans: without an SDK nothing is made. It may come at any time, but does not go. */
  get isOn(): boolean {
    if (this.#tracer !== undefined) return true
    const provider = this.#provider ?? trace.getTracerProvider()
    const isIdle =
      provider instanceof ProxyTracerProvider && provider.getDelegateTracer(instrumentation) === undefined
    if (isIdle) return false
    this.#tracer = provider.getTracer(instrumentation)
    return true
  }

  start(
    operation: Operation,
    topic: string,
    group: string | undefined,
    { kind, parent, links = [], attributes }: SpanSettings,
  ): Span | undefined {
    if (!this.isOn) return undefined
    const all: Attributes = {
      ...this.#common,
      [attributeNames.operation]: operation,
      [attributeNames.operationType]: operation,
      [attributeNames.topic]: topic,
      ...(group !== undefined && { [attributeNames.group]: group }),
      ...attributes,
    }
    return this.#tracer?.startSpan(`${operation} ${topic}`, { kind, links, attributes: all }, parent)
  }
}

/** Ends it, with what it failed by. */
export function end(span: Span | undefined, failure?: { readonly error: unknown }): void {
  if (span === undefined) return
  if (failure !== undefined) {
    span.setAttribute(attributeNames.error, errorType(failure.error))
    span.setStatus({ code: SpanStatusCode.ERROR, message: toError(failure.error).message })
  }
  span.end()
}
