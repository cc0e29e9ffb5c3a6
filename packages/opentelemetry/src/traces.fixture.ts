import { context, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

const kinds: Readonly<Record<number, string>> = {
  [SpanKind.PRODUCER]: 'producer',
  [SpanKind.CONSUMER]: 'consumer',
  [SpanKind.CLIENT]: 'client',
  [SpanKind.INTERNAL]: 'internal',
}

/** A provider whose spans can be looked at. */
export function tracesInMemory() {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  const spans = () => exporter.getFinishedSpans()
  const name = (id: string | undefined) => {
    const found = spans().find((span) => span.spanContext().spanId === id)
    return found === undefined ? 'unknown' : label(found)
  }
  const label = (span: ReadableSpan) => {
    const attempt = span.attributes['messaging.waybill.attempt']
    return attempt === undefined || attempt === 1 ? span.name : `${span.name} ${attempt}`
  }
  const line = (span: ReadableSpan) => {
    const { kind, parentSpanContext, links, status } = span
    const parent = parentSpanContext === undefined ? '' : ` of ${name(parentSpanContext.spanId)}`
    const to = links.map((link) => name(link.context.spanId))
    const linked = to.length === 0 ? '' : `, links ${to.join(' + ')}`
    const failed = status.code === SpanStatusCode.ERROR ? `, ${span.attributes['error.type']}` : ''
    return `${kinds[kind]} ${label(span)}${parent}${linked}${failed}`
  }
  return {
    tracerProvider,
    tracer: tracerProvider.getTracer('test'),
    spans,
    /** `consumer process orders of send orders, links send orders`, in the order in which they ended. */
    lines: () => spans().map(line),
    traceCount: () => new Set(spans().map((span) => span.spanContext().traceId)).size,
    clear: () => exporter.reset(),
  }
}
