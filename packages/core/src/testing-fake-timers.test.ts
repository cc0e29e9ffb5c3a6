import { mock } from 'node:test'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { connect } from './bus/connect.ts'
import { fixed } from './lib/retry.ts'
import { defineMessage } from './messages/definition.ts'
import { defineTopic } from './messages/topic.ts'
import { createTestBus } from './testing.ts'

// As it is before anybody fakes it.
const realNow = performance.now.bind(performance)

const orders = defineTopic('orders', { groups: ['billing'] })
const OrderCreated = defineMessage(orders, 'order.created', { schema: z.object({ n: z.number() }) })

// What the runners fake by default: Vitest all but nextTick and queueMicrotask, Jest those too (nextTick cannot be
// faked in this test's process), node:test its own set.
const fakes: readonly (readonly [string, () => void])[] = [
  ['Vitest', () => vi.useFakeTimers()],
  [
    'Jest',
    () =>
      vi.useFakeTimers({
        toFake: [
          ...(['Date', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const),
          ...(['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const),
        ],
      }),
  ],
  ['node:test', () => mock.timers.enable()],
]

afterEach(() => {
  vi.useRealTimers()
  mock.timers.reset()
})

describe.each(fakes)('under the fake timers of %s', (_runner, fake) => {
  test('the test kit goes through retries and delays, and ends', async () => {
    fake()
    await using kit = await createTestBus({ topics: [orders] })
    const attempts: number[] = []
    await kit.bus
      .consumer('billing', { retry: { backoff: fixed('1m') } })
      .on(OrderCreated, (_message, { attempt }) => attempts.push(attempt))
      .start()
    kit.failNext(1)
    const producer = kit.bus.producer()
    await producer.send(OrderCreated, { n: 1 })
    await producer.send(OrderCreated, { n: 2 }, { delay: '2m' })
    await kit.idle()
    expect(attempts).toEqual([])
    await kit.advance('5m')
    expect(attempts).toEqual([2, 1])
  })

  test('a bus keeps to the real clock, wholly', async () => {
    fake()
    const startedAt = realNow()
    await using bus = await connect({ url: 'memory:', topics: [orders] })
    const arrived = Promise.withResolvers<Date>()
    await bus
      .consumer('billing')
      .on(OrderCreated, ({ timestamp }) => arrived.resolve(timestamp))
      .start()
    await bus.producer().send(OrderCreated, { n: 1 }, { delay: '50ms' })
    await arrived.promise
    expect(realNow() - startedAt).toBeGreaterThan(49)
  })
})
