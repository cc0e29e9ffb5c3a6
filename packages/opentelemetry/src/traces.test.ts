import { trace } from '@opentelemetry/api'
import { connect, defineMessage, defineTopic, fixed, PermanentError } from '@waybill/core'
import { createTestBus } from '@waybill/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { instrument } from './index.ts'
import type { InstrumentOptions } from './options.ts'
import { tracesInMemory } from './traces.fixture.ts'

const orders = defineTopic('orders', { groups: ['billing', 'shipping'] })
const bills = defineTopic('bills', { groups: ['archive'] })
const schema = z.object({ n: z.number() })
const Placed = defineMessage(orders, 'order.placed', { schema })
const Billed = defineMessage(bills, 'bill.made', { schema })
const Asked = defineMessage(orders, 'price.asked', { schema, reply: z.object({ price: z.number() }) })

async function instrumented(options: InstrumentOptions = {}) {
  const kit = await createTestBus({ topics: [orders, bills] })
  const traces = tracesInMemory()
  const { tracerProvider } = traces
  instrument(kit.bus, { metrics: false, tracerProvider, ...options })
  return { kit, traces, [Symbol.asyncDispose]: () => kit[Symbol.asyncDispose]() }
}

const once = fixed('1s')

test('a send is a span, a handler is its child, and what the handler sends is a child of that', async () => {
  await using it = await instrumented({ attributes: { 'server.address': 'broker' } })
  const { kit, traces } = it
  const producer = kit.bus.producer()
  await kit.bus
    .consumer('billing')
    .on(Placed, ({ data }) => producer.send(Billed, data))
    .start()
  await traces.tracer.startActiveSpan('POST /orders', async (span) => {
    await producer.send(Placed, { n: 1 })
    span.end()
  })
  await kit.idle()
  expect(traces.lines().sort()).toEqual([
    'client ack orders of process orders, links send orders',
    'consumer process orders of send orders, links send orders',
    'internal POST /orders',
    'producer send bills of process orders',
    'producer send orders of POST /orders',
  ])
  expect(traces.traceCount()).toBe(1)
  const [sent] = traces.spans().filter(({ name }) => name === 'send orders')
  expect(sent?.attributes).toEqual({
    'messaging.system': 'memory',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'orders',
    'messaging.message.id': kit.sent[0]?.id,
    'messaging.waybill.message.type': 'order.placed',
    'server.address': 'broker',
  })
  const [processed] = traces.spans().filter(({ name }) => name === 'process orders')
  expect(processed?.attributes).toMatchObject({
    'messaging.operation.type': 'process',
    'messaging.consumer.group.name': 'billing',
    'messaging.waybill.attempt': 1,
  })
  const [acked] = traces.spans().filter(({ name }) => name === 'ack orders')
  expect(acked?.attributes).toMatchObject({
    'messaging.operation.name': 'ack',
    'messaging.operation.type': 'settle',
  })
})

test('a send with a trace context of its own keeps it, and links to it', async () => {
  await using it = await instrumented()
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  const { metadata } = await it.kit.bus.producer().send(Placed, { n: 1 }, { traceparent })
  expect(metadata.traceparent).toBe(traceparent)
  expect(it.traces.lines()).toEqual(['client send orders, links unknown'])
})

test('each message of a batch has a send of its own', async () => {
  await using it = await instrumented()
  const sent = await it.kit.bus.producer().sendBatch(Placed, [{ n: 1 }, { n: 2 }])
  const ids = it.traces.spans().map((span) => span.spanContext().spanId)
  expect(it.traces.lines()).toEqual(['producer send orders', 'producer send orders'])
  expect(sent.map(({ metadata }) => metadata.traceparent?.split('-')[2]).sort()).toEqual([...ids].sort())
})

test('a failed send is an error of the kind that its sender gets', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  const sending = kit.bus.producer().send(Placed, { n: 1 }, { signal: AbortSignal.abort() })
  await expect(sending).rejects.toMatchObject({ code: 'aborted' })
  expect(traces.lines()).toEqual(['producer send orders, aborted'])
})

test('retries and replays are children of the send, with a link to the attempt that failed', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  let isMended = false
  await kit.bus
    .consumer('billing', { retry: { attempts: 2, backoff: once } })
    .on(Placed, () => {
      if (!isMended) throw new TypeError('not yet')
    })
    .start()
  await kit.bus.producer().send(Placed, { n: 1 })
  await kit.idle()
  await kit.advance('2s')
  await kit.idle()
  const lines = traces.lines()
  expect(lines).toEqual([
    'producer send orders',
    'consumer process orders of send orders, links send orders, TypeError',
    'client retry orders of process orders, links send orders',
    'consumer process orders 2 of send orders, links send orders + process orders, TypeError',
    'client dead-letter orders of process orders 2, links send orders',
  ])
  const [letter] = traces.spans().filter(({ name }) => name === 'dead-letter orders')
  expect(letter?.attributes['messaging.waybill.reason']).toBe('attempts-exhausted')
  isMended = true
  await kit.bus.group(orders, 'billing').deadLetters.replayAll()
  await kit.idle()
  expect(traces.lines().slice(lines.length)).toEqual([
    'consumer process orders of send orders, links send orders + process orders 2',
    'client ack orders of process orders, links send orders',
  ])
})

test('what cannot be read is in the trace of its message', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  await kit.bus
    .consumer('billing')
    .on(Placed, () => {})
    .start()
  const headers = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }
  kit.bus
    .native('memory')
    .publishRaw('orders', { body: Buffer.from('?'), contentType: 'text/plain', headers })
  await kit.idle()
  expect(traces.lines()).toEqual(['client dead-letter orders of unknown, links unknown'])
  expect(traces.spans()[0]?.spanContext().traceId).toBe('a'.repeat(32))
})

test('a batch handler has one span with a link for each message, and what it sends is its child', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  const producer = kit.bus.producer()
  await kit.bus
    .consumer('billing')
    .onBatch(Placed, { size: 2, wait: '1s' }, () => producer.send(Billed, { n: 3 }))
    .start()
  await producer.send(Placed, { n: 1 })
  await producer.send(Placed, { n: 2 })
  await kit.idle()
  expect(traces.lines()).toEqual([
    'producer send orders',
    'producer send orders',
    'producer send bills of process orders',
    'consumer process orders, links send orders + send orders',
    'client ack orders of process orders, links send orders',
    'client ack orders of process orders, links send orders',
  ])
  const [batch] = traces.spans().filter(({ name }) => name === 'process orders')
  expect(batch?.attributes['messaging.batch.message_count']).toBe(2)
  const linked = batch?.links.map(({ attributes }) => attributes?.['messaging.message.id'])
  expect(linked).toEqual(kit.sentOf(Placed).map(({ id }) => id))
})

test('a pulled message is received, then processed until it is settled', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  const producer = kit.bus.producer()
  await producer.send(Placed, { n: 1 })
  for await (const { data, retry } of kit.bus.receive(Placed, { group: 'shipping' })) {
    await producer.send(Billed, data)
    await retry({ delay: '1s' })
    break
  }
  expect(traces.lines()).toEqual([
    'producer send orders',
    'client receive orders, links send orders',
    'producer send bills of process orders',
    'consumer process orders of send orders, links send orders',
    'client retry orders of process orders, links send orders',
  ])
})

test('a pull loop within a span receives as its child, and its sends link to what they come from', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  const producer = kit.bus.producer()
  await producer.send(Placed, { n: 1 })
  await traces.tracer.startActiveSpan('job', async (job) => {
    for await (const { ack } of kit.bus.receive(Placed, { group: 'shipping' })) {
      await producer.send(Billed, { n: 2 })
      await ack()
      break
    }
    job.end()
  })
  expect(traces.lines()).toContain('client receive orders of job, links send orders')
  expect(traces.lines()).toContain('producer send bills of job, links process orders')
  expect(traces.lines()).toContain('consumer process orders of send orders, links send orders + job')
})

test('a request and its handler are one trace', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  await kit.bus
    .consumer('billing')
    .on(Asked, ({ data }) => ({ price: data.n }))
    .start()
  const { price } = await kit.bus.request(Asked, { n: 5 })
  await kit.idle()
  expect(price).toBe(5)
  expect(traces.lines()).toEqual([
    'producer send orders',
    'consumer process orders of send orders, links send orders',
    'client ack orders of process orders, links send orders',
  ])
})

test('each member of a broadcast has a span of its own, and giving up acks', async () => {
  await using it = await instrumented()
  const { kit, traces } = it
  for (const member of ['one', 'two']) {
    await kit.bus
      .consumer('cache', { broadcast: true })
      .on(Placed, () => {
        if (member === 'two') throw new PermanentError('no')
      })
      .start()
  }
  await kit.bus.producer().send(Placed, { n: 1 })
  await kit.idle()
  expect(traces.lines().sort()).toEqual([
    'client ack orders of process orders, links send orders',
    'client ack orders of process orders, links send orders',
    'consumer process orders of send orders, links send orders',
    'consumer process orders of send orders, links send orders, permanent',
    'producer send orders',
  ])
})

test('with linked traces, handling begins a trace of its own', async () => {
  await using it = await instrumented({ traceStructure: 'linked' })
  const { kit, traces } = it
  await kit.bus
    .consumer('billing')
    .on(Placed, () => {})
    .start()
  await kit.bus.producer().send(Placed, { n: 1 })
  await kit.idle()
  expect(traces.lines()).toContain('consumer process orders, links send orders')
  expect(traces.traceCount()).toBe(2)
})

test('without an SDK, or switched off, messages keep the trace context of what caused them', async () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  for (const traces of [true, false]) {
    await using bus = instrument(await connect({ url: 'memory:', console: false }), {
      traces,
      metrics: false,
    })
    const billed = Promise.withResolvers<string | undefined>()
    await bus
      .consumer('billing')
      .on(Placed, async ({ data }) => {
        expect(trace.getActiveSpan()).toBeUndefined()
        await bus.producer().send(Billed, data)
      })
      .start()
    await bus
      .consumer('archive')
      .on(Billed, ({ metadata }) => billed.resolve(metadata.traceparent))
      .start()
    await bus.producer().send(Placed, { n: 1 }, { traceparent })
    expect(await billed.promise).toBe(traceparent)
  }
})

test('options are checked as a whole, and a bus is instrumented once', async () => {
  await using kit = await createTestBus()
  const wrong = { traces: 'no', maxAge: '1 fortnight', outboxes: { a: {} }, topics: ['orders'] }
  const { bus } = kit
  const error = (() => {
    try {
      instrument(bus, JSON.parse(JSON.stringify(wrong)))
      return undefined
    } catch (thrown) {
      return thrown
    }
  })()
  expect(error).toMatchObject({
    issues: [{ path: 'traces' }, { path: 'topics.0' }, { path: 'outboxes.a' }, { path: 'maxAge' }],
  })
  const { tracerProvider } = tracesInMemory()
  instrument(bus, { tracerProvider })
  expect(() => instrument(bus, { tracerProvider })).toThrow(/the bus has one already/)
})
