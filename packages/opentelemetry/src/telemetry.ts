import { type Context, context, trace } from '@opentelemetry/api'
import type { Bus, IncomingTrace, Propagation } from '@waybill/core'
import { attemptIn } from './attempt.ts'
import { contextOf, Processing } from './processing.ts'
import { Sending } from './sending.ts'
import { Settling } from './settling.ts'
import type { TelemetrySettings } from './telemetry-settings.ts'
import { readTraceContext, writeTraceContext } from './trace-context.ts'

/** Puts onto the bus what follows its messages, out and in. */
export function installTelemetry(bus: Bus, settings: TelemetrySettings): void {
  const { send } = new Sending(settings)
  const processing = new Processing(settings)
  const { handle, handleBatch } = processing
  const settling = new Settling(settings)
  bus.use({ send, handle, handleBatch, ...(settings.spans !== undefined && { propagation }) })
  bus
    .on('received', (info) => processing.received(info))
    .on('handled', (info) => settling.settled('ack', info))
    .on('skipped', (info) => settling.settled('ack', info))
    .on('dropped', (info) => settling.settled('ack', info))
    .on('retried', (info) => settling.settled('retry', info))
    .on('postponed', (info) => settling.settled('retry', info))
    .on('deadLettered', (info) => settling.settled('dead-letter', info, info.reason))
    .on('lost', (info) => settling.lost(info))
}

const propagation: Propagation<Context> = {
  inject: () => writeTraceContext(trace.getSpanContext(context.active())),
  extract,
  run: (active, run) => context.with(active, run),
  failedIn: () =>
    writeTraceContext(attemptIn(context.active())?.processing?.span?.spanContext())?.traceparent,
}

function extract(incoming: IncomingTrace): Context {
  const { attempt: number, failedIn } = incoming
  return contextOf({
    number,
    creation: readTraceContext(incoming),
    failedIn: failedIn === undefined ? undefined : readTraceContext({ traceparent: failedIn }),
  })
}
