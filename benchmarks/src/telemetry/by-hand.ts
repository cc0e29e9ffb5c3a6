import {
  type Context,
  context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import type { Bus, Message, TraceContext } from '@waybill/core'

/**
 * The same spans as an application would make them with nothing but the SDK: send, process and settle, with the same
 * attributes, links and context. What this costs is not ours.
 */
export function tracedByHand(bus: Bus, tracer: Tracer): void {
  const propagator = new W3CTraceContextPropagator()
  const settling = new WeakMap<Message, Span>()
  bus.use({
    propagation: {
      inject: () => {
        const carrier: TraceContext = {}
        propagator.inject(context.active(), carrier, defaultTextMapSetter)
        return carrier
      },
      extract: (incoming) => propagator.extract(ROOT_CONTEXT, incoming, defaultTextMapGetter),
      run: (active: Context, run) => context.with(active, run),
    },
    send: async (sending, next) => {
      const topic = sending.definition.topic.name
      const attributes = attributesOf('send', topic)
      const span = tracer.startSpan(`send ${topic}`, { kind: SpanKind.PRODUCER, attributes })
      try {
        await context.with(trace.setSpan(context.active(), span), next)
      } finally {
        const { id, type } = sending.message ?? {}
        span.setAttributes({ 'messaging.message.id': id, 'messaging.message.type': type })
        span.end()
      }
    },
    handle: async ({ topic, group, attempt, message }, next) => {
      const active = context.active()
      const creation = trace.getSpanContext(active)
      const links = creation === undefined ? [] : [{ context: creation }]
      const attributes = {
        ...attributesOf('process', topic, group),
        'messaging.message.id': message.id,
        'messaging.message.type': message.type,
        'messaging.attempt': attempt,
      }
      const span = tracer.startSpan(`process ${topic}`, { kind: SpanKind.CONSUMER, links, attributes })
      const within = trace.setSpan(active, span)
      try {
        await context.with(within, next)
      } finally {
        span.end()
        const settle = { kind: SpanKind.CLIENT, links, attributes: attributesOf('ack', topic, group) }
        settling.set(message, tracer.startSpan(`ack ${topic}`, settle, within))
      }
    },
  })
  bus.on('handled', ({ message }) => message && settling.get(message)?.end())
}

function attributesOf(operation: string, topic: string, group?: string) {
  return {
    'messaging.system': 'memory',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.destination.name': topic,
    ...(group !== undefined && { 'messaging.consumer.group.name': group }),
  }
}
