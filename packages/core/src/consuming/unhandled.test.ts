import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { connect } from '../bus/connect.ts'
import { delivery, StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import { ConfigurationError, MessagingError } from '../lib/errors.ts'
import { settle, virtualClock } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const schema = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema })

type Wanted = (types: readonly string[]) => Promise<readonly boolean[]>

async function consuming(wanted: Wanted) {
  const subscription = new StubSubscription()
  const driver = stubDriver({
    subscribe: async () => subscription,
    wanted: (_topic, _group, types) => wanted(types),
  })
  const { bus, clock } = await stubBus(driver)
  await bus
    .consumer('billing')
    .on(OrderCreated, () => {})
    .start()
  return { bus, clock, subscription }
}

const stranger = (id: string, type = 'order.shipped') => delivery({ id, type })

describe('whether a type is wanted', () => {
  test('is asked for in one call for all that come together, and in the next for what comes meanwhile', async () => {
    const calls: (readonly string[])[] = []
    const answers: ((wanted: readonly boolean[]) => void)[] = []
    const { subscription } = await consuming((types) => {
      calls.push(types)
      return new Promise((resolve) => answers.push(resolve))
    })
    subscription.deliver(stranger('1'), stranger('2', 'order.paid'), stranger('3'))
    await settle()
    subscription.deliver(stranger('4'))
    await settle()
    expect(calls).toEqual([['order.shipped', 'order.paid']])
    answers[0]?.([false, true])
    await settle()
    expect(subscription.kinds.toSorted()).toEqual(['ack', 'ack', 'retry'])
    expect(calls).toEqual([['order.shipped', 'order.paid'], ['order.shipped']])
    answers[1]?.([true])
    await settle()
    expect(subscription.kinds.filter((kind) => kind === 'retry')).toHaveLength(2)
  })

  test('is asked again while the driver fails, the message is kept, and health tells of it', async () => {
    let isAway = true
    const { bus, clock, subscription } = await consuming(async (types) => {
      if (isAway) throw new MessagingError('disconnected', 'gone', { retryable: true })
      return types.map(() => false)
    })
    subscription.deliver(stranger('1'))
    await clock.advance('1m')
    expect(subscription.kinds).toEqual([])
    expect(await bus.health()).toMatchObject({ status: 'degraded' })
    isAway = false
    await clock.advance('5s')
    expect(subscription.kinds).toEqual(['ack'])
    expect(await bus.health()).toMatchObject({ status: 'up', consumers: [{ skipped: 1 }] })
  })

  test('is not asked again after a yes; the attempt stays, and the time it has been left to others is counted', async () => {
    let calls = 0
    const { subscription } = await consuming(async (types) => {
      calls += 1
      return types.map(() => true)
    })
    subscription.deliver(stranger('1'))
    await settle()
    subscription.deliver(stranger('2'))
    await settle()
    expect(calls).toBe(1)
    const [first] = subscription.settled
    if (first?.verdict.kind !== 'retry') throw new Error('It was not left to others')
    const { delayMs, headers } = first.verdict
    expect(delayMs).toBeGreaterThanOrEqual(0)
    expect(delayMs).toBeLessThanOrEqual(1000)
    expect(headers).toMatchObject({ 'waybill-unhandled-for': `${delayMs}` })
    expect(first.verdict).not.toHaveProperty(['headers', 'waybill-attempt'])
  })
})

describe('a message that nobody here handles', () => {
  const retried = (subscription: StubSubscription) => {
    const verdict = subscription.settled.at(-1)?.verdict
    return verdict?.kind === 'retry' ? verdict.headers : {}
  }

  test('is not given up for a wall clock that jumps, but once others have had their time', async () => {
    const { clock, subscription } = await consuming(async (types) => types.map(() => true))
    subscription.deliver(stranger('1'))
    await settle()
    let rounds = 1
    for (; subscription.kinds.at(-1) === 'retry'; rounds += 1) {
      clock.setBy(24 * 3_600_000)
      subscription.deliver(delivery({ id: '1', type: 'order.shipped' }, { headers: retried(subscription) }))
      await settle()
    }
    expect(subscription.kinds.at(-1)).toBe('dead-letter')
    // 20 s at a time at most, until 10 min are over.
    expect(rounds).toBeGreaterThan(30)
  })

  test('starts anew when the header is nonsense', async () => {
    const { subscription } = await consuming(async (types) => types.map(() => true))
    subscription.deliver(
      delivery({ type: 'order.shipped' }, { headers: { 'waybill-unhandled-for': 'long' } }),
    )
    await settle()
    expect(retried(subscription)).toMatchObject({
      'waybill-unhandled-for': expect.stringMatching(/^(1000|\d{1,3})$/),
    })
  })
})

describe('two members of a group, each of its own type', () => {
  test('do not miss in step what they leave to each other', async () => {
    const OrderShipped = defineMessage(orders, 'order.shipped', { schema })
    const clock = virtualClock()
    let handled = 0
    const started = async (definition: typeof OrderCreated | typeof OrderShipped) => {
      const bus = await connect({ url: 'memory:in-step', clock, topics: [orders] })
      await bus
        .consumer('billing')
        .on(definition, () => {
          handled += 1
        })
        .start()
      return bus
    }
    // The broker wakes them in turns, and the first takes all that is there: each time what the other handles.
    const buses = [await started(OrderCreated), await started(OrderShipped)]
    const producer = buses[0]?.producer()
    for (let n = 0; n < 9; n += 1) {
      await producer?.send(OrderShipped, { n }, { delay: 1000 })
      await producer?.send(OrderCreated, { n }, { delay: 1500 })
    }
    await clock.advance('5m')
    expect(handled).toBe(18)
    await Promise.all(buses.map((bus) => bus.close()))
  })
})

describe('a consumer that pauses', () => {
  test('does not bring what others of its process leave to it nearer to the dead letters', async () => {
    await using bus = await createTestBus({ topics: [orders] })
    const OrderShipped = defineMessage(orders, 'order.shipped', { schema })
    const seen: number[] = []
    await bus.bus
      .consumer('billing', { unhandledAfter: '1m' })
      .on(OrderCreated, () => {})
      .start()
    const other = bus.bus.consumer('billing').on(OrderShipped, ({ data }) => seen.push(data.n))
    await other.start()
    other.pause()
    await bus.bus.producer().send(OrderShipped, { n: 1 })
    await bus.advance('1h')
    expect(seen).toEqual([])
    other.resume()
    await bus.advance('10s')
    expect(seen).toEqual([1])
  })
})

describe('refused, with what to do', () => {
  test.each<[string, (bus: Awaited<ReturnType<typeof createTestBus>>['bus']) => unknown, RegExp]>([
    [
      'a pattern registered twice',
      (bus) =>
        bus
          .consumer('billing')
          .on(orders, 'order.*', () => {})
          .on(orders, 'order.*', () => {}),
      /pattern: "order\.\*" of topic "orders" already has a handler/,
    ],
    [
      'a pattern that one before it shadows',
      (bus) =>
        bus
          .consumer('billing')
          .on(orders, 'order.#', () => {})
          .on(orders, 'order.created', () => {}),
      /pattern: it would never be called: "order\.#" was registered before it/,
    ],
  ])('%s', async (_what, register, message) => {
    await using test = await createTestBus({ topics: [orders] })
    expect(() => register(test.bus)).toThrow(message)
  })

  test('a batch larger than the prefetch', async () => {
    await using test = await createTestBus({ topics: [orders] })
    const consumer = test.bus.consumer('billing', { prefetch: 10 })
    const register = () => consumer.onBatch(OrderCreated, { size: 11, wait: '1s' }, () => {})
    expect(register).toThrow(ConfigurationError)
    expect(register).toThrow(/size: expected at most 10, the prefetch of the consumer/)
  })
})
