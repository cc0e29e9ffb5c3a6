import {
  createTraceState,
  INVALID_SPANID,
  INVALID_TRACEID,
  isSpanContextValid,
  type SpanContext,
} from '@opentelemetry/api'
import type { TraceContext } from '@waybill/core'

// https://www.w3.org/TR/trace-context/#traceparent-header; later versions may add fields.
const pattern = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** Reads a W3C trace context; undefined when there is none, or it is not valid. */
export function readTraceContext({ traceparent, tracestate }: TraceContext): SpanContext | undefined {
  if (traceparent === undefined) return undefined
  const [, version, traceId, spanId, flags, more] = pattern.exec(traceparent) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (traceId === INVALID_TRACEID || spanId === INVALID_SPANID) return undefined
  if (version === '00' && more !== undefined) return undefined
  const read = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return tracestate === undefined ? read : { ...read, traceState: createTraceState(tracestate) }
}

/** Writes it; undefined when it is not valid. */
export function writeTraceContext(span: SpanContext | undefined): TraceContext | undefined {
  if (span === undefined || !isSpanContextValid(span)) return undefined
  const { traceId, spanId, traceFlags, traceState } = span
  const traceparent = `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`
  const tracestate = traceState?.serialize()
  return tracestate === undefined || tracestate === '' ? { traceparent } : { traceparent, tracestate }
}
