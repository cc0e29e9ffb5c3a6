import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { fixed } from './lib/retry.ts'
import { defineMessage } from './messages/definition.ts'
import { defineTopic } from './messages/topic.ts'
import { createTestBus } from './testing.ts'

const orders = defineTopic('orders', { groups: ['billing', 'nobody'] })
const ledger = defineTopic('ledger', { ordered: true })
const schema = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema })
const Booked = defineMessage(ledger, 'order.created', { schema, key: () => 'k' })

test('what was sent and handled is there to look at, typed by definition', async () => {
  await using test = await createTestBus({ topics: [orders] })
  await test.bus
    .consumer('billing')
    .on(OrderCreated, () => {})
    .start()
  const producer = test.bus.producer()
  await producer.send(OrderCreated, { n: 1 })
  await producer.send(Booked, { n: 2 })
  await test.idle()
  expect(test.sent).toHaveLength(2)
  const numbers: number[] = test.sentOf(OrderCreated).map(({ data }) => data.n)
  expect(numbers).toEqual([1])
  expect(test.sentOf(Booked).map(({ data }) => data.n)).toEqual([2])
  expect(test.handled).toMatchObject([{ topic: 'orders', group: 'billing', message: { data: { n: 1 } } }])
})

test('the next handlings fail as often as they are told, before their handler is called', async () => {
  await using test = await createTestBus({ topics: [orders] })
  const attempts: number[] = []
  await test.bus
    .consumer('billing', { retry: { backoff: fixed('1m') } })
    .on(OrderCreated, (_message, { attempt }) => attempts.push(attempt))
    .start()
  const errors: unknown[] = []
  test.bus.on('retried', ({ error }) => errors.push(error))
  const error = new Error('the bank is closed')
  test.failNext(2, { error })
  await test.bus.producer().send(OrderCreated, { n: 1 })
  await test.advance('5m')
  expect(attempts).toEqual([3])
  expect(errors).toEqual([error, error])
})

test('what is to fail can be named by group and by type', async () => {
  await using test = await createTestBus({ topics: [orders, ledger] })
  const failed: string[] = []
  test.bus.on('retried', ({ group, message }) => failed.push(`${group} ${message?.type}`))
  for (const group of ['billing', 'nobody']) {
    await test.bus
      .consumer(group)
      .on(OrderCreated, () => {})
      .on(orders, 'order.#', () => {})
      .start()
  }
  const OrderPaid = defineMessage(orders, 'order.paid', { schema })
  test.failNext(1, { group: 'nobody', type: 'order.paid' })
  test.failNext(1, { group: 'billing' })
  const producer = test.bus.producer()
  await producer.send(OrderCreated, { n: 1 })
  await producer.send(OrderPaid, { n: 2 })
  await test.idle()
  expect(failed.sort()).toEqual(['billing order.created', 'nobody order.paid'])
})

test('options that are wrong are refused', async () => {
  // @ts-expect-error: what a caller without types can do
  await expect(createTestBus({ topic: orders })).rejects.toMatchObject({ code: 'invalid-options' })
  await using test = await createTestBus()
  // @ts-expect-error: what a caller without types can do
  expect(() => test.failNext(0, { groups: 'billing' })).toThrow(/count[\s\S]*groups/)
})

describe('idle', () => {
  test('waits for handlers that wait for something real', async () => {
    await using test = await createTestBus({ topics: [orders] })
    let done = 0
    await test.bus
      .consumer('billing', { concurrency: 2 })
      .on(OrderCreated, async () => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        done += 1
      })
      .start()
    await test.bus.producer().sendBatch(
      OrderCreated,
      Array.from({ length: 9 }, (_, n) => ({ n })),
    )
    await test.idle()
    expect(done).toBe(9)
  })

  test('does not wait for what waits for its time, for other groups, or for a consumer that is paused', async () => {
    await using test = await createTestBus({ topics: [orders, ledger] })
    const consumer = test.bus
      .consumer('billing', { retry: { backoff: fixed('1h') } })
      .on(Booked, () => Promise.reject(new Error('no')))
      .onBatch(OrderCreated, { size: 10, wait: '1h' }, () => {})
    await consumer.start()
    await test.bus.producer().send(Booked, { n: 1 })
    await test.bus.producer().send(OrderCreated, { n: 1 })
    await test.bus.producer().send(OrderCreated, { n: 1 }, { delay: '1h' })
    await test.idle()
    consumer.pause()
    await test.bus.producer().send(OrderCreated, { n: 2 })
    await test.idle()
    expect(test.handled).toEqual([])
  })

  test('ends while pulled messages are in hand, and so does advance', async () => {
    await using test = await createTestBus({ topics: [orders] })
    const pulled = test.bus.receive(OrderCreated, { group: 'billing' })
    await test.bus.producer().send(OrderCreated, { n: 1 })
    await test.bus.producer().send(OrderCreated, { n: 2 })
    const first = await pulled.next()
    await test.idle()
    await test.advance('10m')
    expect(first.value?.data).toEqual({ n: 1 })
    expect(test.handled).toEqual([])
    await first.value?.ack()
    await test.idle()
    expect(test.handled).toMatchObject([{ message: { data: { n: 1 } } }])
    await pulled.return?.()
  })

  test('waits for what a handler sends on', async () => {
    await using test = await createTestBus({ topics: [orders] })
    const producer = test.bus.producer()
    await test.bus
      .consumer('billing')
      .on(OrderCreated, async ({ data: { n } }) => {
        if (n > 0) await producer.send(OrderCreated, { n: n - 1 })
      })
      .start()
    await producer.send(OrderCreated, { n: 20 })
    await test.idle()
    expect(test.handled).toHaveLength(21)
  })
})

test('the end of its scope does not wait for a handler that is stuck', async () => {
  {
    await using test = await createTestBus({ topics: [orders] })
    await test.bus
      .consumer('billing')
      .on(OrderCreated, () => new Promise(() => {}))
      .start()
    await test.bus.producer().send(OrderCreated, { n: 1 })
  }
  expect(true).toBe(true)
})

test('two have nothing to do with each other', async () => {
  await using first = await createTestBus({ topics: [orders] })
  await using second = await createTestBus({ topics: [orders] })
  await first.bus.producer().send(OrderCreated, { n: 1 })
  expect(second.sent).toEqual([])
  expect(await second.bus.group(orders, 'billing').stats()).toMatchObject({ waiting: 0 })
})
