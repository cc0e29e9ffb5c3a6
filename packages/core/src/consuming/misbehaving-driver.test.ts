import { expect, test } from 'vitest'
import { z } from 'zod'
import { delivery, ok, StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import type { Driver, Outcome } from '../driver.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const OrderCreated = defineMessage(orders, 'order.created', { schema: z.object({ n: z.number() }) })

/** What a driver written in JavaScript may answer, though the compiler would not let it. */
const answersOf = (json: string): readonly Outcome[] => JSON.parse(json)

const hanging = () => new Promise<never>(() => {})

async function consuming(driver: Partial<Omit<Driver, 'capabilities'>> = {}) {
  const subscription = new StubSubscription()
  const { bus, clock } = await stubBus(stubDriver({ subscribe: async () => subscription, ...driver }))
  const failures: string[] = []
  bus.on('failure', ({ what, error }) => failures.push(`${what}: ${error.message}`))
  const consumer = bus.consumer('billing').on(OrderCreated, () => {})
  await consumer.start()
  const health = () => consumer.health()[0]
  return { bus, clock, subscription, failures, health }
}

const unreadable = ['null', '[]', '[null]', '[{"ok":false}]', '[{"ok":false,"error":{"code":"rejected"}}]']

test.each(unreadable)('a publish that answers %s fails its message, and the topic goes on', async (json) => {
  let answers = answersOf(json)
  const { bus } = await stubBus(stubDriver({ publish: async () => answers }))
  const producer = bus.producer()
  await expect(producer.send(OrderCreated, { n: 1 })).rejects.toMatchObject({
    message: expect.stringMatching(/returned no outcome/),
    fate: 'unknown',
  })
  answers = [ok]
  await producer.send(OrderCreated, { n: 2 })
})

test.each(unreadable)('a settle that answers %s shows, and is called again', async (json) => {
  const { clock, subscription, failures, health } = await consuming()
  const carryOut = subscription.settle.bind(subscription)
  subscription.settle = async () => answersOf(json)
  subscription.deliver(delivery({ data: { n: 1 } }))
  await settle()
  expect(failures).toEqual([expect.stringMatching(/settling \(ack\).*returned no outcome/)])
  expect(health()?.error).toBeDefined()
  subscription.settle = carryOut
  await clock.advance(5000)
  expect(subscription.kinds).toEqual(['ack'])
  expect(health()?.error).toBeUndefined()
})

test('a settle that does not answer shows after a minute, until it does', async () => {
  const { clock, subscription, failures, health } = await consuming()
  let answer = () => {}
  subscription.onSettle = () =>
    new Promise((resolve) => {
      answer = () => resolve(ok)
    })
  subscription.deliver(delivery({ data: { n: 1 } }))
  await settle()
  await clock.advance(59_000)
  expect(health()?.error).toBeUndefined()
  await clock.advance(2000)
  expect(failures).toEqual([expect.stringMatching(/settling.*not answered for 60000 ms/)])
  expect(health()?.error).toMatchObject({ code: 'timeout' })
  answer()
  await settle()
  expect(subscription.kinds).toEqual(['ack'])
  expect(health()?.error).toBeUndefined()
})

test('a question about wishes that is not answered shows after a minute, and is asked again', async () => {
  let asked = 0
  const wanted = async (_topic: unknown, _group: unknown, types: readonly string[]) => {
    asked += 1
    return asked === 1 ? hanging() : types.map(() => false)
  }
  const { clock, subscription, failures } = await consuming({ wanted })
  subscription.deliver(delivery({ type: 'order.paid' }))
  await clock.advance(59_000)
  expect(failures).toEqual([])
  await clock.advance(10_000)
  expect(failures).toEqual([expect.stringMatching(/wishes of group billing.*60000 ms/)])
  expect(subscription.kinds).toEqual(['ack'])
})

test.each([Number.NaN, -1, 0, Number.POSITIVE_INFINITY])(
  'a store that says %s ms are left of a mark makes the duplicate wait for a sensible time',
  async (remainingMs) => {
    const subscription = new StubSubscription()
    const { bus } = await stubBus(stubDriver({ subscribe: async () => subscription }))
    const store = {
      begin: async () => ({ state: 'processing', remainingMs }) as const,
      extend: async () => true,
      complete: async () => {},
      abandon: async () => {},
    }
    await bus
      .consumer('billing', { idempotency: store })
      .on(OrderCreated, () => {})
      .start()
    subscription.deliver(delivery({ data: { n: 1 } }))
    await settle()
    expect(subscription.settled).toMatchObject([{ verdict: { kind: 'retry', delayMs: 5000 } }])
  },
)
