import { expect, test } from 'vitest'
import { z } from 'zod'
import { InvalidMessageError } from '../lib/errors.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const Placed = defineMessage(orders, 'placed', { schema: z.object({}) })
const Billed = defineMessage(orders, 'billed', { schema: z.object({}) })
const traceOf = (n: number) => `00-${String(n).padStart(32, '0')}-${String(n).padStart(16, '0')}-01`

test('the trace of a send is what its options say, before that of the message being handled', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  const producer = kit.bus.producer()
  const consumer = kit.bus
    .consumer('billing')
    .on(Billed, () => {})
    .on(Placed, async () => {
      await producer.send(Billed, {})
      await producer.send(Billed, {}, { traceparent: traceOf(2) })
      await producer.send(Billed, {}, { traceparent: traceOf(3), tracestate: 'b=3' })
    })
  await consumer.start()
  await producer.send(Placed, {}, { traceparent: traceOf(1), tracestate: 'a=1' })
  await kit.idle()
  const traces = kit.sentOf(Billed).map(({ metadata }) => [metadata.traceparent, metadata.tracestate])
  expect(traces).toEqual([
    [traceOf(1), 'a=1'],
    [traceOf(2), undefined],
    [traceOf(3), 'b=3'],
  ])
})

test('middleware may set it', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  kit.bus.use({
    send: async (context, next) => {
      context.options = { ...context.options, traceparent: traceOf(9) }
      await next()
    },
  })
  const { metadata } = await kit.bus.producer().send(Placed, {})
  expect(metadata).toEqual({ source: 'waybill', traceparent: traceOf(9) })
})

test('what is no trace context is refused', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  const producer = kit.bus.producer()
  const issuesOf = async (options: object) => {
    const error: unknown = await producer.send(Placed, {}, options).catch((thrown: unknown) => thrown)
    if (!(error instanceof InvalidMessageError)) throw error
    return error.issues.map(({ path, message }) => `${path}: ${message}`).join('\n')
  }
  expect(await issuesOf({ traceparent: 'yes' })).toMatch(/^options.traceparent: expected a W3C traceparent/)
  expect(await issuesOf({ traceparent: traceOf(1), tracestate: '?' })).toMatch(/options.tracestate: expected/)
  expect(await issuesOf({ tracestate: 'a=1' })).toBe(
    'options.tracestate: it belongs to a traceparent; give both',
  )
})
