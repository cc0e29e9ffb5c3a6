import { expect, test } from 'vitest'
import { z } from 'zod'
import { delivery, StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import type { Capabilities, Driver, SubscriptionRequest, Topology } from '../driver.ts'
import { fixed } from '../lib/retry.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'

const orders = defineTopic('orders', { groups: [{ name: 'billing', types: ['order.created'] }] })
const ledger = defineTopic('ledger', { ordered: true, groups: ['billing'] })
const schema = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema })
const Booked = defineMessage(ledger, 'order.created', { schema, key: () => 'k' })

/** A bus on a driver that lacks something, with the subscriptions it hands out one after the other. */
async function lacking(capabilities: Partial<Capabilities>, wanted?: Driver['wanted']) {
  const subscriptions = [new StubSubscription(), new StubSubscription()] as const
  const left: StubSubscription[] = [...subscriptions]
  const requests: SubscriptionRequest[] = []
  const topologies: Topology[] = []
  const driver = stubDriver({
    capabilities,
    ...(wanted !== undefined && { wanted }),
    apply: async (topology) => {
      topologies.push(topology)
      return { created: [], missing: [] }
    },
    subscribe: async (request) => {
      requests.push(request)
      const next = left.shift()
      if (next === undefined) throw new Error('subscribed too often')
      return next
    },
  })
  return { ...(await stubBus(driver)), subscriptions, requests, topologies }
}

const numbered = (n: number) => delivery({ data: { n }, key: 'k' })

test.each([
  ['retries of its own', { durableRetry: false }],
  ['retries as late as that', { maxDelayMs: 999 }],
])('without %s, a retry waits in this process, which tells nobody else', async (_, capabilities) => {
  const { bus, clock, subscriptions } = await lacking(capabilities)
  const [subscription] = subscriptions
  const attempts: number[] = []
  const handle = (_message: unknown, { attempt }: { readonly attempt: number }) => {
    attempts.push(attempt)
    if (attempt === 1) throw new Error('not yet')
  }
  await bus
    .consumer('billing', { retry: { backoff: fixed('1s') } })
    .on(OrderCreated, handle)
    .start()
  subscription.deliver(numbered(1))
  await settle()
  expect(subscription.settled).toEqual([])
  await clock.advance(1000)
  expect(attempts).toEqual([1, 2])
  expect(subscription.kinds).toEqual(['ack'])
})

test('without dead letters, consumers that need them and looking at them are refused by name, broadcasts are not', async () => {
  const { bus } = await lacking({ deadLetters: false })
  expect(() => bus.consumer('billing')).toThrow(/feature "deadLetters".*consumer with broadcast/)
  bus.consumer('billing', { broadcast: true })
  await expect(bus.group(orders, 'billing').deadLetters.count()).rejects.toMatchObject({
    code: 'unsupported',
  })
})

test('without figures, stats are refused by name', async () => {
  const { bus } = await lacking({ stats: false })
  await expect(bus.group(orders, 'billing').stats()).rejects.toMatchObject({ code: 'unsupported' })
})

test('without filters that can be added to, all is asked for and the wishes are kept', async () => {
  const { bus, requests, topologies } = await lacking({ changesFilters: false })
  await bus
    .consumer('billing')
    .on(OrderCreated, () => {})
    .start()
  await bus.producer().send(OrderCreated, { n: 1 })
  const unfiltered = { name: 'billing', types: ['#'], wishes: ['order.created'] }
  expect(requests[0]?.group).toMatchObject(unfiltered)
  expect(topologies.flatMap(({ topics }) => topics.flatMap(({ groups }) => groups))).toEqual([
    expect.objectContaining(unfiltered),
    expect.objectContaining(unfiltered),
  ])
})

test('no longer lease and no more deliveries are asked for than the driver has', async () => {
  const { bus, requests } = await lacking({ maxLeaseMs: 5000, maxPrefetch: 8 })
  await bus
    .consumer('billing')
    .on(OrderCreated, () => {})
    .start()
  expect(requests[0]).toMatchObject({ leaseMs: 5000, prefetch: 8, maxPrefetch: 8 })
})

test('a lease or a prefetch beyond what the driver has is refused when the consumer is made, both at once', async () => {
  const { bus, requests } = await lacking({ maxLeaseMs: 5000, maxPrefetch: 8 })
  const both = /lease: expected at most 5000 ms.*stub driver.*prefetch: expected at most 8.*stub driver/s
  expect(() => bus.consumer('billing', { lease: '6s', prefetch: 9 })).toThrow(both)
  expect(() => bus.receive(OrderCreated, { group: 'billing', lease: '6s', prefetch: 9 })).toThrow(both)
  bus.consumer('billing', { lease: '5s', prefetch: 8 })
  const pulled = bus.receive(OrderCreated, { group: 'billing' })
  void pulled.next()
  await settle()
  expect(requests[0]).toMatchObject({ leaseMs: 5000, prefetch: 8 })
  await pulled.return?.()
})

test('a batch that would never fill is refused where its handler is registered', async () => {
  const { bus } = await lacking({ maxPrefetch: 8 })
  const withBatch = (prefetch?: number) => () =>
    bus
      .consumer('billing', prefetch === undefined ? {} : { prefetch })
      .onBatch(OrderCreated, { size: 7 }, () => {})
  withBatch()()
  expect(withBatch(6)).toThrow(/size: expected at most 6, the prefetch of the consumer/)
  expect(() => bus.consumer('billing').onBatch(OrderCreated, { size: 9 }, () => {})).toThrow(
    /size: expected at most 8, the most the stub driver hands out/,
  )
})

test.each([
  ['a topic', OrderCreated],
  ['an ordered topic', Booked],
])(
  'without release, what a paused consumer gives back of %s goes with its subscription, once the rest is through',
  async (_, definition) => {
    const { bus, clock, subscriptions } = await lacking({ release: false })
    const [first, second] = subscriptions
    const seen: number[] = []
    let end = () => {}
    const consumer = bus.consumer('billing', { concurrency: 1 }).on(definition, async ({ data }) => {
      seen.push(data.n)
      if (data.n === 1) await new Promise<void>((resolve) => (end = resolve))
    })
    await consumer.start()
    first.deliver(...[1, 2, 3].map((n) => delivery({ data: { n }, key: `k-${n}` })))
    await settle()
    consumer.pause()
    await settle()
    expect([first.closed, consumer.health()[0]?.inFlight]).toEqual([0, 1])
    end()
    await settle()
    expect(first.kinds).toEqual(['ack'])
    expect(first.closed).toBe(1)
    consumer.resume()
    await clock.advance(1000)
    second.deliver(numbered(2), numbered(3))
    await settle()
    expect(seen).toEqual([1, 2, 3])
    expect(second.kinds).toEqual(['ack', 'ack'])
  },
)

test('without release, a pulled message that is given back comes again by another subscription', async () => {
  const { bus, clock, subscriptions } = await lacking({ release: false })
  const [first, second] = subscriptions
  const messages = bus.receive(OrderCreated, { group: 'billing' })
  const one = messages.next()
  await settle()
  first.deliver(numbered(1))
  await (await one).value?.release()
  await settle()
  expect([first.settled, first.closed]).toEqual([[], 1])
  const again = messages.next()
  await clock.advance(1000)
  second.deliver(numbered(1))
  await (await again).value?.ack()
  expect(second.kinds).toEqual(['ack'])
  await messages.return?.()
})

test.each([
  ['goes to others', {}, ['release', 'release']],
  ['without keys that can be yielded, stays', { yieldsKeys: false }, []],
])('on an ordered topic, what nobody here handles waits, and then %s', async (_, capabilities, kinds) => {
  const { bus, clock, subscriptions } = await lacking(capabilities, async (_topic, _group, types) =>
    types.map(() => true),
  )
  const [subscription] = subscriptions
  const deferred: number[] = []
  const letters: string[] = []
  bus.on('deferred', ({ delayMs }) => deferred.push(delayMs))
  bus.on('deadLettered', ({ reason }) => letters.push(reason))
  await bus
    .consumer('billing', { unhandledAfter: '5s' })
    .on(Booked, () => {})
    .start()
  const other = () => delivery({ id: 'x', type: 'order.shipped', key: 'k' })
  subscription.deliver(other(), numbered(2))
  await settle()
  expect(deferred).toHaveLength(1)
  expect(subscription.kinds).toEqual([])
  await clock.advance(1000)
  expect(subscription.kinds).toEqual(kinds)
  const toOthers = { verdict: { kind: 'release', toOthers: true } }
  if (kinds.length > 0)
    expect(subscription.settled).toMatchObject([toOthers, { verdict: { kind: 'release' } }])
  // It comes again, as long as nobody else has taken it.
  for (let round = 0; round < 8; round += 1) {
    if (kinds.length > 0 && letters.length === 0) subscription.deliver(other())
    await settle()
    await clock.advance(1000)
  }
  expect(letters).toEqual(['unhandled'])
})
