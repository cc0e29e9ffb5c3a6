import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import { ConfigurationError, MessagingError } from '../lib/errors.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus, type TestBus } from '../testing.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const schema = z.object({ n: z.number() })
const OrderPlaced = defineMessage(orders, 'order.placed', { schema })
const OrderPaid = defineMessage(orders, 'order.paid', { schema })

const setUp = () => createTestBus({ topics: [orders] })
const streams = ({ bus }: TestBus) => bus.native('memory').broker.topics.get('orders')?.instances.size

describe('a stream of messages', () => {
  test('brings what is sent from its ready on, in order, and ends with the loop', async () => {
    await using kit = await setUp()
    const producer = kit.bus.producer()
    await producer.send(OrderPlaced, { n: 0 })
    const placed = kit.bus.on(OrderPlaced)
    await placed.ready
    expect(streams(kit)).toBe(1)
    for (let n = 1; n <= 3; n += 1) await producer.send(OrderPlaced, { n })
    await producer.send(OrderPaid, { n: 99 })
    const seen: number[] = []
    for await (const message of placed) {
      expectTypeOf(message).toEqualTypeOf<Message<{ n: number }, 'order.placed'>>()
      seen.push(message.data.n)
      if (seen.length === 3) break
    }
    expect(seen).toEqual([1, 2, 3])
    expect(streams(kit)).toBe(0)
    expect((await kit.bus.health()).consumers).toEqual([])
    expect(await placed.next()).toEqual({ done: true, value: undefined })
  })

  test('takes nothing away, and is no handler to the record of a test', async () => {
    await using kit = await setUp()
    await using placed = kit.bus.on(OrderPlaced)
    await placed.ready
    kit.failNext(1)
    await kit.bus
      .consumer('billing')
      .on(OrderPlaced, () => {})
      .start()
    await kit.bus.producer().send(OrderPlaced, { n: 1 })
    expect((await placed.next()).value?.data).toEqual({ n: 1 })
    await kit.idle()
    expect(kit.handled).toEqual([])
    await kit.advance('1m')
    expect(kit.handled.map(({ group, attempt }) => [group, attempt])).toEqual([['billing', 2]])
  })

  test('gives each stream every message', async () => {
    await using kit = await setUp()
    await using one = kit.bus.on(OrderPlaced)
    await using two = kit.bus.on(OrderPlaced)
    const both = Promise.all([one.next(), two.next()])
    await Promise.all([one.ready, two.ready])
    await kit.bus.producer().send(OrderPlaced, { n: 1 })
    expect((await both).map(({ value }) => value?.data.n)).toEqual([1, 1])
  })

  test('leaves what a slow loop does not take at the broker, and loses none of it', async () => {
    await using kit = await setUp()
    await using placed = kit.bus.on(OrderPlaced)
    await placed.ready
    const producer = kit.bus.producer()
    const all = Array.from({ length: 3000 }, (_, n) => ({ n }))
    await producer.sendBatch(OrderPlaced, all)
    await settle()
    for (const { n } of all) expect((await placed.next()).value?.data.n).toBe(n)
  })

  test('ends with its signal, with return and with the bus', async () => {
    const kit = await setUp()
    const controller = new AbortController()
    const placed = kit.bus.on(OrderPlaced, { signal: controller.signal })
    const waiting = placed.next()
    await placed.ready
    controller.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
    const other = kit.bus.on(OrderPlaced)
    await other.ready
    expect(await other.return()).toEqual({ done: true, value: undefined })
    expect(streams(kit)).toBe(0)
    const last = kit.bus.on(OrderPlaced)
    const never = last.next()
    await kit.bus.close()
    expect(await never).toEqual({ done: true, value: undefined })
    await expect(last.ready).rejects.toThrow(/stopped before it was subscribed|aborted/)
    expect(() => kit.bus.on(OrderPlaced)).toThrow(/closed/)
  })

  test('that nobody reads does not hold up its bus', async () => {
    const kit = await setUp()
    const placed = kit.bus.on(OrderPlaced)
    await placed.ready
    await kit.bus.producer().sendBatch(
      OrderPlaced,
      Array.from({ length: 1500 }, (_, n) => ({ n })),
    )
    const abandoned: unknown[] = []
    kit.bus.on('abandoned', (info) => abandoned.push(info))
    await settle()
    await kit.bus.close()
    expect(abandoned).toEqual([])
  })

  test('that has ended before it began subscribes to nothing', async () => {
    await using kit = await setUp()
    const placed = kit.bus.on(OrderPlaced, { signal: AbortSignal.abort() })
    expect(await placed.next()).toEqual({ done: true, value: undefined })
    await expect(placed.ready).rejects.toThrow(MessagingError)
    expect(streams(kit)).toBe(0)
  })

  test('tells of a subscription that was refused, once', async () => {
    const subscribe = async () => {
      throw new MessagingError('access-denied', 'no right to read orders')
    }
    const { bus } = await stubBus(stubDriver({ subscribe }))
    const placed = bus.on(OrderPlaced)
    await expect(placed.next()).rejects.toThrow(/no right to read/)
    expect(await placed.next()).toEqual({ done: true, value: undefined })
    const other = bus.on(OrderPlaced)
    await expect(other.ready).rejects.toThrow(/no right to read/)
    await expect(other.next()).rejects.toThrow(/no right to read/)
    expect(await other.next()).toEqual({ done: true, value: undefined })
    await bus.close()
  })

  test('that is left while it subscribes leaves nothing behind', async () => {
    const gate = Promise.withResolvers<void>()
    const subscription = new StubSubscription()
    const subscribe = async () => {
      await gate.promise
      return subscription
    }
    const { bus } = await stubBus(stubDriver({ subscribe }))
    const placed = bus.on(OrderPlaced)
    await settle()
    await placed.return()
    gate.resolve()
    await settle()
    expect(subscription.closed).toBeGreaterThan(0)
    await bus.close()
  })

  test('is refused by name on a driver without broadcast, as are wrong options', async () => {
    const { bus } = await stubBus(stubDriver({ capabilities: { broadcast: false } }))
    expect(() => bus.on(OrderPlaced)).toThrow(
      /^on\(order.placed\) needs the feature "broadcast".*a group of your/,
    )
    await using kit = await setUp()
    // @ts-expect-error: no such option
    expect(() => kit.bus.on(OrderPlaced, { since: 0 })).toThrow(ConfigurationError)
    // @ts-expect-error: events need a listener
    expect(() => kit.bus.on('sent')).toThrow(/sent: expected a function/)
    // @ts-expect-error: neither an event nor a definition
    expect(() => kit.bus.on(undefined, () => {})).toThrow(/there is no such event/)
  })
})
