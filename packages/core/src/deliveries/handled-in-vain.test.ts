import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { delivery, failure, StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { defineTopic } from '../messages/topic.ts'
import type { HandlerContext } from './handler-context.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const Placed = defineMessage(orders, 'order.created', { schema: z.object({ n: z.number() }) })

async function consuming(
  handler: (message: Message<{ n: number }>, context: HandlerContext) => unknown,
  { broadcast = false, leaseMs }: { readonly broadcast?: boolean; readonly leaseMs?: number } = {},
) {
  const subscription = new StubSubscription(leaseMs)
  const { bus, clock } = await stubBus(stubDriver({ subscribe: async () => subscription }))
  const events: string[] = []
  const runs: number[] = []
  bus.on('duplicate', ({ state }) => events.push(state))
  bus.on('lost', () => events.push('lost'))
  await bus
    .consumer('billing', { broadcast, concurrency: 1 })
    .on(Placed, (message, context) => {
      runs.push(message.data.n)
      return handler(message, context)
    })
    .start()
  return { bus, clock, subscription, events, runs }
}

const copy = (n = 1, id = 'm') => delivery({ id, data: { n } })

describe('what was handled, but lost before its ack was durable', () => {
  test('while its handler ran, is acked at its redelivery without running it again, once', async () => {
    const gate = Promise.withResolvers<void>()
    const { subscription, events, runs } = await consuming(() => gate.promise)
    const first = copy()
    subscription.deliver(first)
    await settle()
    subscription.lose(first)
    gate.resolve()
    await settle()
    expect(subscription.kinds).toEqual([])
    subscription.deliver(copy())
    await settle()
    expect([subscription.kinds, runs, events]).toEqual([['ack'], [1], ['lost', 'done']])
    subscription.deliver(copy())
    await settle()
    expect(runs).toEqual([1, 1])
  })

  test('while its ack failed, or was refused as stale, likewise', async () => {
    const { subscription, events, runs, clock } = await consuming(() => {})
    subscription.onSettle = () => failure({ retryable: true })
    const first = copy()
    subscription.deliver(first)
    await settle()
    subscription.lose(first)
    subscription.onSettle = () => ({ ok: true })
    subscription.deliver(copy())
    await clock.advance('1m')
    expect([subscription.kinds, runs, events]).toEqual([['ack'], [1], ['lost', 'done']])
  })

  test('again when its redelivery is lost, too', async () => {
    const { subscription, runs, clock } = await consuming(() => {})
    subscription.onSettle = () => failure({ retryable: true })
    for (let round = 0; round < 3; round += 1) {
      const each = copy()
      subscription.deliver(each)
      await settle()
      subscription.lose(each)
    }
    subscription.onSettle = () => ({ ok: true })
    subscription.deliver(copy())
    await clock.advance('1m')
    expect([subscription.kinds, runs]).toEqual([['ack'], [1]])
  })

  test('is forgotten after ten minutes', async () => {
    const { subscription, runs, clock } = await consuming(() => {})
    subscription.onSettle = () => failure({ retryable: true })
    const first = copy()
    subscription.deliver(first)
    await settle()
    subscription.lose(first)
    subscription.onSettle = () => ({ ok: true })
    await clock.advance('11m')
    subscription.deliver(copy())
    await settle()
    expect(runs).toEqual([1, 1])
  })
})

describe('is handled again', () => {
  async function afterLoss(
    handler: (gate: Promise<void>, context: HandlerContext) => unknown,
    again = copy(),
    broadcast = false,
  ) {
    const gate = Promise.withResolvers<void>()
    const consumer = await consuming((_, context) => handler(gate.promise, context), { broadcast })
    const first = copy()
    consumer.subscription.deliver(first)
    await settle()
    consumer.subscription.lose(first)
    gate.resolve()
    await settle()
    consumer.subscription.deliver(again)
    await settle()
    return consumer.runs
  }

  test('what failed', async () => {
    const runs = await afterLoss(async (gate) => {
      await gate
      throw new Error('no')
    })
    expect(runs).toEqual([1, 1])
  })

  test('what may have stopped halfway, since its handler looked at its signal', async () => {
    const runs = await afterLoss(
      (_, { signal }) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
    )
    expect(runs).toEqual([1, 1])
  })

  test('another message with the same id', async () => {
    expect(await afterLoss((gate) => gate, copy(2))).toEqual([1, 2])
  })

  test('another attempt', async () => {
    const again = delivery({ id: 'm', data: { n: 1 } }, { attempt: 2 })
    expect(await afterLoss((gate) => gate, again)).toEqual([1, 1])
  })

  test('a broadcast, of which each consumer has a copy of its own', async () => {
    expect(await afterLoss((gate) => gate, copy(), true)).toEqual([1, 1])
  })
})

test('an event loop that stood still with deliveries in hand is told, with how long it did', async () => {
  const subscription = new StubSubscription()
  const { bus, clock } = await stubBus(stubDriver({ subscribe: async () => subscription }))
  const warnings: string[] = []
  bus.on('warning', ({ message }) => warnings.push(message))
  const late = Promise.withResolvers<void>()
  let lateMs = 0
  const { monotonic } = clock
  clock.monotonic = () => monotonic.call(clock) + lateMs
  await bus
    .consumer('billing')
    .on(Placed, () => late.promise)
    .start()
  subscription.deliver(copy())
  await settle()
  await clock.advance(1500)
  expect(warnings).toEqual([])
  lateMs = 3500
  await clock.advance(1000)
  expect(warnings).toEqual([
    expect.stringMatching(
      /stood still for at least 3\.5 s with deliveries of topic orders, group billing, in hand \(1\)/,
    ),
  ])
  late.resolve()
  await clock.advance(5000)
  expect(warnings).toHaveLength(1)
})
