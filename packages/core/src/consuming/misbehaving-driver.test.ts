import { expect, test } from 'vitest'
import { z } from 'zod'
import { connect } from '../bus/connect.ts'
import {
  delivery,
  ok,
  StubSubscription,
  stubAdapter,
  stubBus,
  stubDriver,
} from '../driver/stub-driver.fixture.ts'
import type { Driver, Outcome } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const OrderCreated = defineMessage(orders, 'order.created', { schema: z.object({ n: z.number() }) })

/** What a driver written in JavaScript may answer, though the compiler would not let it. */
const answersOf = (json: string): readonly Outcome[] => JSON.parse(json)

const hanging = () => new Promise<never>(() => {})

async function consuming(
  driver: Partial<Omit<Driver, 'capabilities'>> = {},
  leaseMs?: number,
  settlesAtOnce = 1,
) {
  const subscription = new StubSubscription(leaseMs)
  subscription.settlesAtOnce = settlesAtOnce
  const { bus, clock } = await stubBus(stubDriver({ subscribe: async () => subscription, ...driver }))
  const failures: string[] = []
  bus.on('failure', ({ what, error }) => failures.push(`${what}: ${error.message}`))
  const consumer = bus
    .consumer('billing')
    .on(OrderCreated, ({ data }) => (data.n < 0 ? hanging() : undefined))
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

test('a settle that does not answer still shows when others that were called later do', async () => {
  const { clock, subscription, failures, health } = await consuming({}, undefined, 2)
  subscription.onSettle = hanging
  subscription.deliver(delivery({ data: { n: 1 } }))
  await settle()
  await clock.advance(61_000)
  expect(failures).toEqual([expect.stringMatching(/not answered for 60000 ms; .*one call of 2/)])
  subscription.onSettle = () => ok
  subscription.deliver(delivery({ data: { n: 2 } }))
  await settle()
  expect(subscription.kinds).toEqual(['ack'])
  expect(health()?.error).toMatchObject({ code: 'timeout' })
})

test('a renewal that is not answered shows within a third of the lease, until one succeeds', async () => {
  const { clock, subscription, failures, health } = await consuming({}, 30_000)
  const carryOut = subscription.extend.bind(subscription)
  subscription.extend = hanging
  subscription.deliver(delivery({ data: { n: -1 } }))
  await settle()
  await clock.advance(19_000)
  expect(health()?.error).toBeUndefined()
  await clock.advance(1000)
  expect(health()?.error).toMatchObject({ code: 'timeout', message: /has not answered for 10000 ms/ })
  await clock.advance(20_000)
  // All that was in hand is lost by now. The driver still hangs.
  expect(health()).toMatchObject({ inFlight: 0, error: { code: 'timeout' } })
  expect(failures).toEqual([expect.stringMatching(/renewing leases.*has not answered for 10000 ms/)])
  subscription.extend = carryOut
  subscription.deliver(delivery({ data: { n: -2 } }))
  await settle()
  await clock.advance(10_000)
  expect(health()?.error).toBeUndefined()
})

test('renewals that fail for longer than the lease show, though all is lost, and no longer than a lease after', async () => {
  const { clock, subscription, health } = await consuming({}, 30_000)
  subscription.extend = () => Promise.reject(new Error('connection reset'))
  subscription.deliver(delivery({ data: { n: -1 } }))
  await settle()
  await clock.advance(31_000)
  expect(health()).toMatchObject({ inFlight: 0, error: { message: /connection reset/ } })
  await clock.advance(30_000)
  expect(health()?.error).toBeUndefined()
})

test.each([
  ['does not say how it is', hanging, /did not say how it is within 10000 ms/],
  ['fails to', () => Promise.reject(new Error('no socket')), /failed to say how it is: no socket/],
])('a driver that %s is down, in bounded time', async (_, health, message) => {
  const { bus, clock } = await consuming({ health })
  const asked = bus.health()
  await clock.advance(10_000)
  expect(await asked).toMatchObject({ status: 'down', driver: { error: { message }, details: {} } })
})

test('applying is told when starting has taken too long, when the consumer is stopped, and when connecting is aborted', async () => {
  const signals: AbortSignal[] = []
  const apply = async (_topology: unknown, _mode: unknown, signal?: AbortSignal) => {
    if (signal === undefined) throw new Error('no signal')
    signals.push(signal)
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    throw new MessagingError('aborted', 'no longer wanted')
  }
  const { bus, clock } = await stubBus(stubDriver({ apply }))
  const consumerOf = () => bus.consumer('billing').on(OrderCreated, () => {})
  const late = expect(consumerOf().start({ timeout: '1s' })).rejects.toMatchObject({ code: 'timeout' })
  await clock.advance(1000)
  await late
  const stopped = consumerOf()
  const starting = expect(stopped.start()).rejects.toMatchObject({ code: 'closed' })
  await Promise.all([starting, stopped.stop()])
  const wanted = new AbortController()
  const adapter = stubAdapter(() => stubDriver({ apply }))
  const connecting = connect({
    ...{ url: 'stub:', adapter, clock, topics: [orders], signal: wanted.signal, console: false },
  })
  await settle()
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, false])
  wanted.abort()
  await expect(connecting).rejects.toMatchObject({ code: 'aborted' })
  expect(signals[2]?.aborted).toBe(true)
})

test('a send whose topic somebody else was provisioning, and gave up, provisions it itself', async () => {
  const wanted = new AbortController()
  const apply = async (_topology: unknown, _mode: unknown, signal?: AbortSignal) => {
    if (signal === undefined) return { created: [], missing: [] }
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    throw new MessagingError('aborted', 'no longer wanted')
  }
  const { bus } = await stubBus(stubDriver({ apply }))
  const provisioning = bus.provision([orders], { signal: wanted.signal })
  await settle()
  const sending = bus.producer().send(OrderCreated, { n: 1 })
  await settle()
  wanted.abort()
  await expect(provisioning).rejects.toMatchObject({ code: 'aborted' })
  await sending
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
