import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { context, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { instrument } from '@waybill/opentelemetry'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { attributeOf, type ReceivedSpan, receivedBy } from './otlp.ts'
import type { TelemetryServers } from './servers.ts'

const brokers = ['rabbitmq', 'kafka', 'redis'] as const

/** From an HTTP request over three brokers, by OTLP, into a collector. */
export const traceCase = (servers: TelemetryServers): Case => ({
  number: 301,
  title: 'One trace leads from an HTTP request through three brokers, as a collector receives it',
  timeoutMs: 180_000,
  async run(test) {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    test.defer(() => context.disable())
    const traceExporter = new OTLPTraceExporter({ url: `${servers.collector.url}/v1/traces` })
    const metricExporter = new OTLPMetricExporter({ url: `${servers.collector.url}/v1/metrics` })
    const tracerProvider = new TracerProvider({
      spanProcessors: [new BatchSpanProcessor({ exporter: traceExporter })],
    })
    const reader = new PeriodicExportingMetricReader({ exporter: metricExporter })
    const meterProvider = new MeterProvider({ readers: [reader] })
    const providers = { tracerProvider, meterProvider }
    const { post, done } = await chain(test, servers, providers)
    const answer = await post()
    assert.equal(answer.status, 202)
    await test.within('the last handler is reached', done)
    const expected = 1 + 3 * brokers.length
    let received: Awaited<ReturnType<typeof receivedBy>> | undefined
    await test.eventually('all spans are with the collector', async () => {
      await tracerProvider.forceFlush()
      received = await receivedBy(servers.collector)
      return received.spans.length >= expected
    })
    await meterProvider.forceFlush()
    await test.eventually('metrics are with the collector', async () =>
      (await receivedBy(servers.collector)).metrics.has('messaging.process.duration'),
    )
    checkChain(received?.spans ?? [])
    await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()])
  },
})

interface Providers {
  readonly tracerProvider: TracerProvider
  readonly meterProvider: MeterProvider
}

/** A server whose request sends to the first broker, whose handler sends to the second, and so on. */
async function chain(test: CaseContext, servers: TelemetryServers, providers: Providers) {
  const last = Promise.withResolvers<void>()
  const name = test.unique('traced')
  const topic = defineTopic(name, { groups: ['next'] })
  const Step = defineMessage(topic, 'step', { schema: z.object({ n: z.number() }) })
  const buses = await Promise.all(
    brokers.map(async (broker) => {
      const bus = instrument(
        await connect({ url: servers[broker].url, topics: [topic], timeout: '1m' }),
        providers,
      )
      test.defer(() => bus.close())
      return bus
    }),
  )
  for (const [index, bus] of buses.entries()) {
    const next = buses[index + 1]
    await bus
      .consumer('next')
      .on(Step, async ({ data: { n } }) => {
        if (next === undefined) last.resolve()
        else await next.producer().send(Step, { n: n + 1 })
      })
      .start()
  }
  const tracer = providers.tracerProvider.getTracer('http')
  const server = createServer((_request, response) => {
    const span = tracer.startSpan('POST /orders', { kind: SpanKind.SERVER })
    const sending = context.with(trace.setSpan(context.active(), span), () =>
      buses[0]?.producer().send(Step, { n: 1 }),
    )
    void Promise.resolve(sending).then(
      () => {
        span.end()
        response.writeHead(202).end()
      },
      () => response.writeHead(500).end(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  test.defer(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { done: last.promise, post: () => fetch(`http://127.0.0.1:${port}/orders`, { method: 'POST' }) }
}

/** Request, then for each broker a send, its processing as its child, and the ack as the child of that. */
function checkChain(spans: readonly ReceivedSpan[]): void {
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1, 'all spans are of one trace')
  const childOf = (parent: ReceivedSpan | undefined, operation: string, system: string) => {
    const child = spans.find(
      (span) =>
        span.parentSpanId === parent?.spanId &&
        attributeOf(span, 'messaging.operation.name') === operation &&
        attributeOf(span, 'messaging.system') === system,
    )
    assert(child, `${operation} over ${system} is a child of ${parent?.name}`)
    return child
  }
  let parent = spans.find(({ name }) => name === 'POST /orders')
  for (const system of brokers) {
    const sent = childOf(parent, 'send', system)
    const processed = childOf(sent, 'process', system)
    assert.deepEqual(
      processed.links.map(({ spanId }) => spanId),
      [sent.spanId],
      'processing links to the send',
    )
    assert.equal(processed.name, `process ${attributeOf(sent, 'messaging.destination.name')}`)
    childOf(processed, 'ack', system)
    parent = processed
  }
}
