import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import { delivery, failure, StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import type { Driver, SubscriptionRequest } from '../driver.ts'
import { memoryIdempotencyStore } from '../idempotency/idempotency.ts'
import { MessagingError, PermanentError } from '../lib/errors.ts'
import { fixed } from '../lib/retry.ts'
import { settle, virtualClock } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { defineTopic } from '../messages/topic.ts'
import type { ConsumerOptions } from './consumer-options.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const ledger = defineTopic('ledger', { ordered: true })
const schema = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema })
const Booked = defineMessage(ledger, 'order.created', { schema, key: ({ n }) => `k-${n}` })

type Handle = (message: Message<{ n: number }>, context: HandlerContext) => unknown

/** A started consumer of one subscription, or of one after the other. */
async function consuming(
  handle: Handle,
  {
    subscriptions = [new StubSubscription()],
    definition = OrderCreated,
    driver = {},
    ...options
  }: ConsumerOptions & {
    readonly subscriptions?: StubSubscription[]
    readonly definition?: typeof OrderCreated
    readonly driver?: Partial<Omit<Driver, 'capabilities'>>
  } = {},
) {
  const requests: SubscriptionRequest[] = []
  const left = [...subscriptions]
  const subscribe = async (request: SubscriptionRequest) => {
    requests.push(request)
    const next = left.shift()
    if (next === undefined) throw new MessagingError('disconnected', 'no more', { retryable: true })
    return next
  }
  const { bus, clock } = await stubBus(stubDriver({ subscribe, ...driver }))
  const events: [string, Record<string, unknown>][] = []
  for (const name of ['handled', 'retried', 'deadLettered', 'lost', 'abandoned', 'failure'] as const) {
    bus.on(name, (event) => events.push([name, { ...event }]))
  }
  const consumer = bus.consumer('billing', options).on(definition, handle)
  await consumer.start()
  const [subscription] = subscriptions
  if (subscription === undefined) throw new Error('no subscription')
  return { bus, clock, consumer, subscription, requests, events, names: () => events.map(([name]) => name) }
}

/** A handler whose calls the test ends one by one. */
function held() {
  const calls: {
    readonly data: { n: number }
    readonly context: HandlerContext
    readonly end: (error?: unknown) => void
  }[] = []
  const handle: Handle = ({ data }, context) =>
    new Promise<void>((resolve, reject) => {
      calls.push({ data, context, end: (error) => (error === undefined ? resolve() : reject(error)) })
    })
  return { calls, handle, numbers: () => calls.map((call) => call.data.n) }
}

const numbered = (n: number) => delivery({ data: { n } })

describe('subscribing', () => {
  test('tells the driver group, patterns, prefetch and lease', async () => {
    const { requests } = await consuming(() => {}, { concurrency: 5, lease: '10s' })
    expect(requests).toEqual([
      {
        topic: orders,
        group: { name: 'billing', types: ['order.created'], wishes: ['order.created'], from: 'latest' },
        prefetch: 10,
        // As many again are for what cannot be settled.
        maxPrefetch: 100 + 10,
        leaseMs: 10_000,
        broadcast: false,
      },
    ])
  })

  test('holds more on ordered topics, for what waits behind a key that is being retried', async () => {
    const { requests } = await consuming(() => {}, { concurrency: 5, definition: Booked })
    expect(requests[0]).toMatchObject({ prefetch: 10 + 256, maxPrefetch: 2 * (10 + 256) })
  })

  test('never holds more than asked for, nor more than 1000 by default', async () => {
    const asked = await consuming(() => {}, { concurrency: 5, prefetch: 20 })
    expect(asked.requests[0]).toMatchObject({ prefetch: 20, maxPrefetch: 40 })
    const wide = await consuming(() => {}, { concurrency: 200 })
    expect(wide.requests[0]).toMatchObject({ prefetch: 400, maxPrefetch: 1400 })
    const wider = await consuming(() => {}, { concurrency: 1000 })
    expect(wider.requests[0]).toMatchObject({ prefetch: 2000, maxPrefetch: 4000 })
  })

  test('holds more while its handlers are quick, and tells the driver', async () => {
    const { subscription, clock } = await consuming(() => {}, { concurrency: 2 })
    const sizes: number[] = []
    subscription.resize = (prefetch) => sizes.push(prefetch)
    const handleAll = async (count: number) => {
      subscription.deliver(...Array.from({ length: count }, (_, n) => numbered(n)))
      await settle()
    }
    await handleAll(4 + 8 + 16 + 32 + 40)
    expect(Math.max(...subscription.asked)).toBeGreaterThan(16 / 4)
    await clock.advance('1s')
    await handleAll(20)
    expect(sizes).toEqual([8, 16, 32, 40, 20])
  })

  test('makes the group at the broker with the patterns it was declared with beside its own', async () => {
    const apply = vi.fn(async () => ({ created: [], missing: [] }))
    await consuming(() => {}, { driver: { apply } })
    expect(apply).toHaveBeenCalledWith(
      {
        topics: [
          {
            topic: orders,
            groups: [
              { name: 'billing', types: ['#', 'order.created'], wishes: ['order.created'], from: 'latest' },
            ],
          },
        ],
      },
      'create',
      expect.any(AbortSignal),
    )
  })

  test('is tried again while the broker is away, and start waits for it', async () => {
    const subscription = new StubSubscription()
    let tries = 0
    const subscribe = async () => {
      tries += 1
      if (tries < 3) throw new MessagingError('disconnected', 'away', { retryable: true })
      return subscription
    }
    const { bus, clock } = await stubBus(stubDriver({ subscribe }))
    const consumer = bus.consumer('billing').on(OrderCreated, () => {})
    const starting = consumer.start()
    await settle()
    expect(consumer.health()).toMatchObject([{ state: 'starting', error: { code: 'disconnected' } }])
    await clock.advance('5s')
    await starting
    expect(consumer.health()).toEqual([
      { topic: 'orders', group: 'billing', state: 'running', inFlight: 0, running: 0 },
    ])
  })

  test('is given up at the timeout of start, with the last reason', async () => {
    const subscribe = () => Promise.reject(new MessagingError('disconnected', 'away', { retryable: true }))
    const { bus, clock } = await stubBus(stubDriver({ subscribe }))
    const starting = bus
      .consumer('billing')
      .on(OrderCreated, () => {})
      .start({ timeout: '3s' })
    const caught = expect(starting).rejects.toMatchObject({
      code: 'timeout',
      retryable: true,
      message: expect.stringMatching(/consumer billing on topic orders .*away/),
    })
    await clock.advance('3s')
    await caught
  })

  test('is not tried again when it makes no sense: start rejects at once', async () => {
    const subscribe = vi.fn(() => Promise.reject(new MessagingError('access-denied', 'not yours')))
    const { bus } = await stubBus(stubDriver({ subscribe }))
    const consumer = bus.consumer('billing').on(OrderCreated, () => {})
    await expect(consumer.start()).rejects.toMatchObject({ code: 'access-denied' })
    expect(subscribe).toHaveBeenCalledOnce()
    expect(consumer.health()).toMatchObject([{ state: 'stopped' }])
  })

  test('ends promptly when the signal given to start fires, even if the broker hangs', async () => {
    const { bus } = await stubBus(stubDriver({ subscribe: () => new Promise(() => {}) }))
    const controller = new AbortController()
    const starting = bus
      .consumer('billing')
      .on(OrderCreated, () => {})
      .start({ signal: controller.signal })
    await settle()
    controller.abort()
    await expect(starting).rejects.toMatchObject({ code: 'aborted' })
  })

  test('that succeeds after the consumer was stopped leaves no subscription behind', async () => {
    const subscription = new StubSubscription(1000)
    let subscribed = () => {}
    const subscribe = () =>
      new Promise<StubSubscription>((resolve) => {
        subscribed = () => resolve(subscription)
      })
    const { bus, clock } = await stubBus(stubDriver({ subscribe }))
    const consumer = bus.consumer('billing').on(OrderCreated, () => {})
    const starting = consumer.start().catch((error: unknown) => error)
    await settle()
    const stopping = consumer.stop()
    await clock.advance('1m')
    await stopping
    subscribed()
    await settle()
    expect(subscription.closed).toBeGreaterThan(0)
    expect(await starting).toMatchObject({ code: 'closed' })
  })

  test('that is waiting for its next try when the consumer is stopped makes start reject at once', async () => {
    const subscribe = () => Promise.reject(new MessagingError('disconnected', 'away', { retryable: true }))
    const { bus } = await stubBus(stubDriver({ subscribe }))
    const consumer = bus.consumer('billing').on(OrderCreated, () => {})
    const starting = consumer.start().catch((error: unknown) => error)
    await settle()
    await consumer.stop()
    expect(await starting).toMatchObject({ code: 'closed' })
  })
})

describe('receiving', () => {
  test('asks for a quarter of what may be in hand at a time, for what there is room for, and no more', async () => {
    const { calls, handle } = held()
    const { subscription } = await consuming(handle, { prefetch: 7, concurrency: 1 })
    subscription.deliver(...[1, 2].map(numbered))
    await settle()
    expect(subscription.asked).toEqual([2, 2])
    subscription.deliver(...[3, 4, 5, 6].map(numbered))
    await settle()
    expect(subscription.asked).toEqual([2, 2, 2, 1])
    subscription.deliver(numbered(7))
    await settle()
    expect(subscription.asked).toEqual([2, 2, 2, 1])
    calls[0]?.end()
    await settle()
    expect(subscription.asked).toEqual([2, 2, 2, 1, 1])
  })

  test('asks for more before it looks at what has come', async () => {
    const asked: number[] = []
    const { subscription } = await consuming(
      () => {
        asked.push(subscription.asked.length)
      },
      { prefetch: 8 },
    )
    subscription.deliver(numbered(1), numbered(2))
    await settle()
    expect(asked).toEqual([2, 2])
  })

  test('runs as many handlers at once as may, in the order of arrival', async () => {
    const { calls, handle, numbers } = held()
    const { subscription } = await consuming(handle, { concurrency: 2 })
    subscription.deliver(...[1, 2, 3, 4].map(numbered))
    await settle()
    expect(numbers()).toEqual([1, 2])
    calls[1]?.end()
    await settle()
    expect(numbers()).toEqual([1, 2, 3])
  })

  test('goes on when a poll comes back with nothing', async () => {
    const subscription = new StubSubscription()
    const receive = vi.spyOn(subscription, 'receive').mockResolvedValueOnce([])
    const { handle, numbers } = held()
    await consuming(handle, { subscriptions: [subscription] })
    subscription.deliver(numbered(1))
    await settle()
    expect(numbers()).toEqual([1])
    expect(receive.mock.calls.length).toBeGreaterThan(1)
  })

  test('leaves the event loop to others while a driver comes back with nothing at once, again and again', async () => {
    const subscription = new StubSubscription()
    vi.spyOn(subscription, 'receive').mockResolvedValue([])
    const { consumer } = await consuming(() => {}, { subscriptions: [subscription] })
    await new Promise((resolve) => setTimeout(resolve, 5))
    await consumer.stop()
    expect(consumer.health()).toMatchObject([{ state: 'stopped' }])
  })

  test('recovers when the subscription breaks: it is closed, its deliveries are lost, another takes over', async () => {
    const { calls, handle, numbers } = held()
    const subscriptions = [new StubSubscription(), new StubSubscription()]
    const { consumer, clock, subscription, events } = await consuming(handle, { subscriptions })
    subscription.deliver(numbered(1))
    await settle()
    subscription.breakWith(new MessagingError('disconnected', 'connection reset', { retryable: true }))
    await settle()
    expect(subscription.closed).toBe(1)
    expect(calls[0]?.context.signal.aborted).toBe(true)
    expect(consumer.health()).toMatchObject([{ state: 'recovering', error: { code: 'disconnected' } }])
    expect(events).toMatchObject([
      ['failure', { what: 'consumer billing on topic orders', error: { code: 'disconnected' } }],
      ['lost', { topic: 'orders', group: 'billing' }],
    ])
    await clock.advance('5s')
    expect(consumer.health()).toMatchObject([{ state: 'running' }])
    subscriptions[1]?.deliver(numbered(2))
    calls[0]?.end()
    await settle()
    expect(numbers()).toEqual([1, 2])
    expect(subscription.settled).toEqual([])
  })

  test('asks again, with backoff, when the broker asks for patience, and keeps what is in hand', async () => {
    const { calls, handle, numbers } = held()
    const subscription = new StubSubscription()
    const { consumer, clock, events } = await consuming(handle, { subscriptions: [subscription] })
    subscription.deliver(numbered(1))
    await settle()
    const receive = vi.spyOn(subscription, 'receive')
    receive.mockRejectedValue(new MessagingError('throttled', 'slow down', { retryable: true }))
    subscription.deliver(numbered(2))
    await clock.advance('10s')
    expect(receive.mock.calls.length).toBeLessThan(20)
    expect(consumer.health()).toMatchObject([{ state: 'running', error: { code: 'throttled' }, inFlight: 2 }])
    expect(events[0]).toMatchObject(['failure', { error: { code: 'throttled' } }])
    expect(calls[0]?.context.signal.aborted).toBe(false)
    receive.mockRestore()
    subscription.deliver(numbered(3))
    calls[0]?.end()
    await clock.advance('5s')
    expect(numbers()).toEqual([1, 2, 3])
    expect(consumer.health()[0]?.error).toBeUndefined()
    expect(subscription.closed).toBe(0)
    expect(subscription.settled.map(({ verdict }) => verdict.kind)).toEqual(['ack'])
  })

  test('recovers from an error that looks final too, once it has been running', async () => {
    const subscriptions = [new StubSubscription(), new StubSubscription()]
    const { consumer, clock, subscription } = await consuming(() => {}, { subscriptions })
    subscription.breakWith(new MessagingError('topology-missing', 'the queue was deleted'))
    await clock.advance('5s')
    expect(consumer.health()).toMatchObject([{ state: 'running' }])
  })

  test('applies the topology again before it subscribes again, for broadcasts too', async () => {
    const apply = vi.fn(async () => ({ created: [], missing: [] }))
    for (const broadcast of [false, true]) {
      apply.mockClear()
      const subscriptions = [new StubSubscription(), new StubSubscription()]
      const { clock, subscription } = await consuming(() => {}, {
        subscriptions,
        broadcast,
        driver: { apply },
      })
      subscription.breakWith(new MessagingError('topology-missing', 'the queue was deleted'))
      await clock.advance('5s')
      expect(apply).toHaveBeenCalledTimes(2)
    }
  })

  test('shows that it is not working even while the broken subscription cannot be closed', async () => {
    const subscription = new StubSubscription()
    subscription.onClose = () => new Promise(() => {})
    const subscriptions = [subscription, new StubSubscription()]
    const { consumer, clock } = await consuming(() => {}, { subscriptions })
    subscription.breakWith(new MessagingError('disconnected', 'connection reset', { retryable: true }))
    await settle()
    expect(consumer.health()).toMatchObject([{ state: 'recovering', error: { code: 'disconnected' } }])
    await clock.advance('1m')
    expect(consumer.health()).toMatchObject([{ state: 'running' }])
  })

  test('waits longer after each failure, and anew after a success', async () => {
    const at: number[] = []
    const clock = virtualClock()
    const subscribe = () => {
      at.push(clock.now())
      return Promise.reject(new MessagingError('disconnected', 'away', { retryable: true }))
    }
    const { bus } = await stubBus(stubDriver({ subscribe }), clock)
    const consumer = bus.consumer('billing').on(OrderCreated, () => {})
    void consumer.start().catch(() => {})
    await clock.advance('20s')
    const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0))
    expect(gaps[0]).toBeLessThanOrEqual(50)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(2000)
    expect(gaps.at(-1)).toBeGreaterThan(1000)
    await consumer.stop()
  })
})

describe('a delivery', () => {
  test('is acked once its handler has resolved, not before', async () => {
    const { calls, handle } = held()
    const { subscription, names } = await consuming(handle)
    subscription.deliver(numbered(1))
    await settle()
    expect(subscription.settled).toEqual([])
    calls[0]?.end()
    await settle()
    expect(subscription.kinds).toEqual(['ack'])
    expect(names()).toEqual(['handled'])
  })

  test('whose handler throws is retried after the backoff, its attempt raised', async () => {
    const { subscription, events } = await consuming(() => Promise.reject(new Error('no')), {
      retry: { backoff: fixed('7s') },
    })
    subscription.deliver(delivery({}, { attempt: 2, headers: { tenant: 'acme' } }))
    await settle()
    expect(subscription.settled[0]?.verdict).toMatchObject({
      kind: 'retry',
      delayMs: 7000,
      headers: { tenant: 'acme', 'waybill-attempt': '3' },
    })
    expect(events).toMatchObject([['retried', { attempt: 2, delayMs: 7000, error: { message: 'no' } }]])
  })

  test('whose attempts are used up goes to the dead letters with its record', async () => {
    const { subscription, events } = await consuming(() => Promise.reject(new Error('no')), {
      retry: { attempts: 3 },
    })
    subscription.deliver(delivery({}, { attempt: 3 }))
    await settle()
    expect(subscription.settled[0]?.verdict).toMatchObject({
      kind: 'dead-letter',
      headers: {
        'waybill-reason': 'attempts-exhausted',
        'waybill-error-message': 'no',
        'waybill-attempt': '3',
      },
    })
    expect(events).toMatchObject([
      ['deadLettered', { reason: 'attempts-exhausted', error: { message: 'no' } }],
    ])
  })

  test.each([
    ['a broken backoff', { backoff: () => JSON.parse('{') }],
    ['a broken isRetryable', { isRetryable: () => JSON.parse('{') }],
  ])('is retried by the default where the policy has %s, which is reported', async (_name, retry) => {
    const { subscription, events } = await consuming(() => Promise.reject(new Error('no')), { retry })
    subscription.deliver(delivery())
    await settle()
    expect(subscription.kinds).toEqual(['retry'])
    expect(events.find(([name]) => name === 'failure')?.[1]).toMatchObject({
      what: expect.stringMatching(/retry policy/),
      error: { message: expect.stringMatching(/JSON/) },
    })
  })

  test('keeps its handler from starting when it is lost while it is looked up or checked', async () => {
    let begun = () => {}
    const store = memoryIdempotencyStore()
    const begin = vi.spyOn(store, 'begin').mockImplementation(
      () =>
        new Promise((resolve) => {
          begun = () => resolve({ state: 'started', token: 't' })
        }),
    )
    const abandon = vi.spyOn(store, 'abandon')
    const { handle, calls } = held()
    const { subscription } = await consuming(handle, { idempotency: store })
    const lost = numbered(1)
    subscription.deliver(lost)
    await settle()
    expect(begin).toHaveBeenCalledOnce()
    subscription.lose(lost)
    begun()
    await settle()
    expect(calls).toEqual([])
    expect(abandon).toHaveBeenCalledOnce()
    expect(subscription.settled).toEqual([])
  })
})

describe('settling', () => {
  test('that fails is tried again until it succeeds, and shows in health until then', async () => {
    const { subscription, consumer, clock, names } = await consuming(() => {})
    subscription.onSettle = () => failure({ retryable: true }, 'not now')
    subscription.deliver(numbered(1))
    await settle()
    expect(consumer.health()).toMatchObject([
      { state: 'running', error: { message: 'not now' }, inFlight: 1 },
    ])
    expect(names()).toEqual(['failure'])
    subscription.onSettle = () => ({ ok: true })
    await clock.advance('5s')
    expect(subscription.kinds).toEqual(['ack'])
    expect(consumer.health()).toEqual([
      { topic: 'orders', group: 'billing', state: 'running', inFlight: 0, running: 0 },
    ])
    expect(names()).toEqual(['failure', 'handled'])
  })

  test('that fails for one still shows when its neighbours are settled', async () => {
    const { subscription, consumer } = await consuming(({ data }) => {
      if (data.n === 1) throw new PermanentError('hopeless')
    })
    subscription.onSettle = ({ verdict }) =>
      verdict.kind === 'dead-letter' ? failure({}, 'the dead-letter queue is full') : { ok: true }
    subscription.deliver(numbered(1))
    await settle()
    subscription.deliver(numbered(2))
    await settle()
    expect(subscription.kinds).toEqual(['ack'])
    expect(consumer.health()).toMatchObject([{ error: { message: 'the dead-letter queue is full' } }])
  })

  test('never acks what could not be written to the dead letters, however often it fails', async () => {
    const { subscription, clock } = await consuming(() => {
      throw new PermanentError('hopeless')
    })
    const tried: string[] = []
    subscription.onSettle = ({ verdict }) => {
      tried.push(verdict.kind)
      return failure({}, 'the dead-letter queue is full')
    }
    subscription.deliver(numbered(1))
    await clock.advance('1m')
    expect(tried.length).toBeGreaterThan(5)
    expect(new Set(tried)).toEqual(new Set(['dead-letter']))
    expect(subscription.settled).toEqual([])
  })

  test('that rejects as a whole fails for each', async () => {
    const { subscription, clock } = await consuming(() => {})
    const settling = vi.spyOn(subscription, 'settle').mockRejectedValueOnce(new Error('connection reset'))
    subscription.deliver(numbered(1), numbered(2))
    await clock.advance('5s')
    expect(settling.mock.calls.length).toBeGreaterThan(1)
    expect(subscription.kinds).toEqual(['ack', 'ack'])
  })

  test('that comes too late loses the delivery, without another try', async () => {
    const { subscription, clock, names } = await consuming(() => {})
    subscription.onSettle = () => ({ ok: false, error: new MessagingError('stale', 'of an older session') })
    const settling = vi.spyOn(subscription, 'settle')
    subscription.deliver(numbered(1))
    await clock.advance('1m')
    expect(settling).toHaveBeenCalledOnce()
    expect(names()).toEqual(['lost'])
  })

  test('travels together: what is settled while a call is under way forms the next one', async () => {
    const { subscription } = await consuming(() => {})
    const sizes: number[] = []
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    vi.spyOn(subscription, 'settle').mockImplementation(async (settlements) => {
      sizes.push(settlements.length)
      if (sizes.length === 1) await gate
      return settlements.map(() => ({ ok: true }))
    })
    subscription.deliver(numbered(1))
    await settle()
    subscription.deliver(...[2, 3, 4].map(numbered))
    await settle()
    release()
    await settle()
    expect(sizes).toEqual([1, 3])
  })
})

describe('a lost delivery', () => {
  test('aborts its handler, whose outcome is then ignored', async () => {
    const { calls, handle } = held()
    const { subscription, names } = await consuming(handle)
    const lost = numbered(1)
    subscription.deliver(lost)
    await settle()
    subscription.lose(lost)
    expect(calls[0]?.context.signal.aborted).toBe(true)
    expect(calls[0]?.context.signal.reason).toMatchObject({ code: 'stale' })
    calls[0]?.end()
    await settle()
    expect(subscription.settled).toEqual([])
    expect(names()).toEqual(['lost'])
  })

  test('that no handler has seen is dropped, and those behind it go on', async () => {
    const { calls, handle, numbers } = held()
    const { subscription } = await consuming(handle, { concurrency: 1 })
    const all = [1, 2, 3].map(numbered)
    subscription.deliver(...all)
    await settle()
    if (all[1] !== undefined) subscription.lose(all[1])
    calls[0]?.end()
    await settle()
    expect(numbers()).toEqual([1, 3])
  })

  test('keeps its room for as long as its handler runs', async () => {
    const { calls, handle } = held()
    const { subscription } = await consuming(handle, { concurrency: 1, prefetch: 1 })
    const lost = numbered(1)
    subscription.deliver(lost)
    await settle()
    subscription.lose(lost)
    subscription.deliver(numbered(2))
    await settle()
    expect(subscription.asked).toEqual([1])
    calls[0]?.end()
    await settle()
    expect(calls[1]?.data).toEqual({ n: 2 })
  })

  test('keeps its room too while it waits for a slot that a stuck handler has', async () => {
    const { calls, handle, numbers } = held()
    const { subscription } = await consuming(handle, { concurrency: 1, prefetch: 2 })
    const lost = [1, 2].map(numbered)
    subscription.deliver(...lost)
    await settle()
    subscription.lose(...lost)
    subscription.deliver(numbered(3))
    await settle()
    expect(subscription.asked).toEqual([1, 1])
    calls[0]?.end()
    await settle()
    expect(numbers()).toEqual([1, 3])
    expect(subscription.asked.slice(2)).toEqual([1, 1])
  })

  test('is not reported as handled when its ack was under way', async () => {
    const { subscription, names } = await consuming(() => {})
    let answer = () => {}
    subscription.onSettle = () =>
      new Promise((resolve) => {
        answer = () => resolve({ ok: true })
      })
    const lost = numbered(1)
    subscription.deliver(lost)
    await settle()
    subscription.lose(lost)
    answer()
    await settle()
    expect(names()).toEqual(['lost'])
  })

  test('that was held for a retry frees its key, for when it comes again', async () => {
    const attempts: [number, number][] = []
    const { subscription, clock } = await consuming(
      ({ data }, { attempt }) => {
        attempts.push([data.n, attempt])
        if (data.n === 1 && attempts.length === 1) throw new Error('no')
      },
      { definition: Booked, retry: { backoff: fixed('10s') } },
    )
    const [first, second] = [1, 2].map((n) => delivery({ data: { n }, key: 'k' }))
    if (first === undefined || second === undefined) throw new Error('no deliveries')
    subscription.deliver(first, second)
    await settle()
    subscription.lose(first)
    await settle()
    expect(subscription.kinds).toEqual(['release'])
    subscription.deliver({ ...first, deliveries: 2 }, { ...second, deliveries: 2 })
    await clock.advance('1m')
    expect(attempts).toEqual([
      [1, 1],
      [1, 1],
      [2, 1],
    ])
  })
})

describe('leases', () => {
  test('are renewed at a third of their time for all that is in hand', async () => {
    const { handle } = held()
    const subscription = new StubSubscription(30_000)
    const { clock } = await consuming(handle, { subscriptions: [subscription], concurrency: 1 })
    subscription.deliver(numbered(1), numbered(2))
    await clock.advance('10s')
    expect(subscription.extended).toMatchObject([{ deliveries: [{}, {}], leaseMs: 30_000 }])
    await clock.advance('20s')
    expect(subscription.extended).toHaveLength(3)
  })

  test('are not renewed where there is nothing to renew, nor where there are none', async () => {
    const [idle, without] = [new StubSubscription(30_000), new StubSubscription()]
    const { clock } = await consuming(() => {}, { subscriptions: [idle] })
    await clock.advance('1m')
    expect(idle.extended).toEqual([])
    const other = await consuming(held().handle, { subscriptions: [without] })
    without.deliver(numbered(1))
    await other.clock.advance('2h')
    expect(without.extended).toEqual([])
  })

  test('of a handler that runs longer than maxLease are let go', async () => {
    const { calls, handle } = held()
    const subscription = new StubSubscription(30_000)
    const { clock, names } = await consuming(handle, { subscriptions: [subscription], maxLease: '5m' })
    subscription.deliver(numbered(1))
    await clock.advance('5m')
    expect(names()).toEqual([])
    await clock.advance('15s')
    expect(names()).toEqual(['lost'])
    expect(calls[0]?.context.signal.aborted).toBe(true)
    const renewals = subscription.extended.length
    await clock.advance('5m')
    expect(subscription.extended).toHaveLength(renewals)
  })

  test('count from the start of the handler, not from the time in the queue', async () => {
    const { calls, handle } = held()
    const subscription = new StubSubscription(30_000)
    const { clock, names } = await consuming(handle, {
      subscriptions: [subscription],
      concurrency: 1,
      maxLease: '5m',
    })
    subscription.deliver(numbered(1), numbered(2))
    await clock.advance('4m')
    calls[0]?.end()
    await clock.advance('4m')
    expect(calls).toHaveLength(2)
    expect(names()).toEqual(['handled'])
  })

  test('of what is held for a retry are renewed for as long as the backoff takes', async () => {
    const subscription = new StubSubscription(30_000)
    const attempts: number[] = []
    const { clock, names } = await consuming(
      (_message, { attempt }) => {
        attempts.push(attempt)
        if (attempt < 3) throw new Error('no')
      },
      {
        subscriptions: [subscription],
        definition: Booked,
        maxLease: '5m',
        retry: { backoff: fixed('20m') },
      },
    )
    subscription.deliver(delivery({ key: 'k' }))
    await clock.advance('41m')
    expect(attempts).toEqual([1, 2, 3])
    expect(names()).toEqual(['retried', 'retried', 'handled'])
  })

  test('that cannot be renewed are a failure that is told of', async () => {
    const subscription = new StubSubscription(30_000)
    vi.spyOn(subscription, 'extend').mockRejectedValueOnce(new Error('connection reset'))
    const { clock, events } = await consuming(held().handle, { subscriptions: [subscription] })
    subscription.deliver(numbered(1))
    await clock.advance('10s')
    expect(events).toMatchObject([
      ['failure', { what: 'renewing leases, topic orders, group billing', error: { code: 'failed' } }],
    ])
  })
})

describe('pausing', () => {
  test('gives back what no handler has seen, lets the others finish, and takes no more', async () => {
    const { calls, handle } = held()
    const { subscription, consumer } = await consuming(handle, { concurrency: 1, prefetch: 3 })
    subscription.deliver(...[1, 2, 3].map(numbered))
    await settle()
    consumer.pause()
    await settle()
    expect(subscription.kinds).toEqual(['release', 'release'])
    expect(consumer.health()).toMatchObject([{ state: 'paused' }])
    const asked = subscription.asked.length
    calls[0]?.end()
    await settle()
    expect(subscription.kinds).toEqual(['release', 'release', 'ack'])
    expect(subscription.asked).toHaveLength(asked)
  })

  test('ends with resume', async () => {
    const { handle, numbers } = held()
    const { subscription, consumer } = await consuming(handle, { concurrency: 1 })
    consumer.pause()
    await settle()
    subscription.deliver(numbered(1))
    await settle()
    expect(numbers()).toEqual([])
    consumer.resume()
    await settle()
    expect(numbers()).toEqual([1])
    expect(consumer.health()).toMatchObject([{ state: 'running' }])
  })

  test('and resuming at once loses nothing', async () => {
    const { handle, numbers } = held()
    const { subscription, consumer } = await consuming(handle)
    consumer.pause()
    consumer.resume()
    await settle()
    subscription.deliver(numbered(1))
    await settle()
    expect(numbers()).toEqual([1])
  })

  test('a consumer before its start makes it start paused', async () => {
    const subscription = new StubSubscription()
    const { bus } = await stubBus(stubDriver({ subscribe: async () => subscription }))
    const { handle, numbers } = held()
    const consumer = bus.consumer('billing').on(OrderCreated, handle)
    consumer.pause()
    await consumer.start()
    subscription.deliver(numbered(1))
    await settle()
    expect(numbers()).toEqual([])
    expect(consumer.health()).toMatchObject([{ state: 'paused' }])
    consumer.resume()
    await settle()
    expect(numbers()).toEqual([1])
  })

  test('keeps what is held for a retry, which goes on after resume', async () => {
    const attempts: number[] = []
    const { subscription, consumer, clock } = await consuming(
      (_message, { attempt }) => {
        attempts.push(attempt)
        if (attempt === 1) throw new Error('no')
      },
      { definition: Booked, retry: { backoff: fixed('10s') } },
    )
    subscription.deliver(delivery({ key: 'k' }))
    await settle()
    consumer.pause()
    await clock.advance('1m')
    expect(attempts).toEqual([1])
    expect(subscription.settled).toEqual([])
    consumer.resume()
    await settle()
    expect(attempts).toEqual([1, 2])
    expect(subscription.kinds).toEqual(['ack'])
  })
})

describe('stopping', () => {
  test('lets running handlers finish and gives back what none has seen', async () => {
    const { calls, handle } = held()
    const { subscription, consumer } = await consuming(handle, { concurrency: 1 })
    subscription.deliver(...[1, 2].map(numbered))
    await settle()
    const stopping = consumer.stop()
    await settle()
    expect(subscription.kinds).toEqual(['release'])
    expect(calls[0]?.context.signal.aborted).toBe(false)
    calls[0]?.end()
    expect(await stopping).toEqual({ abandoned: [], released: 1 })
    expect(subscription.kinds).toEqual(['release', 'ack'])
    expect(subscription.closed).toBe(1)
    expect(consumer.health()).toMatchObject([{ state: 'stopped', inFlight: 0 }])
  })

  test('abandons handlers that take longer than the timeout: they hear of it, their messages go back', async () => {
    const { calls, handle } = held()
    const { subscription, consumer, clock, names } = await consuming(handle)
    subscription.deliver(delivery({ id: 'slow' }))
    await settle()
    const stopping = consumer.stop({ timeout: '5s' })
    await clock.advance('5s')
    expect(await stopping).toEqual({ abandoned: ['slow'], released: 0 })
    expect(calls[0]?.context.signal.aborted).toBe(true)
    expect(subscription.kinds).toEqual(['release'])
    calls[0]?.end()
    await settle()
    expect(subscription.kinds).toEqual(['release'])
    expect(names()).toEqual(['abandoned'])
  })

  test('waits for the handler of a lost delivery too, and tells if it is abandoned', async () => {
    const { calls, handle } = held()
    const { subscription, consumer, clock } = await consuming(handle)
    const [first, second] = [delivery({ id: 'ends' }), delivery({ id: 'hangs' })]
    subscription.deliver(first, second)
    await settle()
    subscription.lose(first, second)
    const stopping = consumer.stop({ timeout: '5s' })
    await clock.advance('4s')
    calls[0]?.end()
    await clock.advance('1s')
    expect(await stopping).toEqual({ abandoned: ['hangs'], released: 0 })
    expect(subscription.settled).toEqual([])
  })

  test('gives back what is held for a retry', async () => {
    const { subscription, consumer } = await consuming(() => Promise.reject(new Error('no')), {
      definition: Booked,
      retry: { backoff: fixed('1h') },
    })
    subscription.deliver(delivery({ key: 'k' }))
    await settle()
    expect(await consumer.stop()).toEqual({ abandoned: [], released: 1 })
    expect(subscription.kinds).toEqual(['release'])
  })

  test('gives back at once what a failing handler would hold for a retry', async () => {
    const { calls, handle } = held()
    const { subscription, consumer } = await consuming(handle, {
      definition: Booked,
      retry: { backoff: fixed('1h') },
    })
    subscription.deliver(delivery({ key: 'k' }))
    await settle()
    const stopping = consumer.stop()
    calls[0]?.end(new Error('no'))
    await stopping
    expect(subscription.kinds).toEqual(['release'])
  })

  test('gives back what arrives while it stops', async () => {
    const subscription = new StubSubscription()
    const { handle, numbers } = held()
    let answer: () => void = () => {}
    vi.spyOn(subscription, 'receive').mockImplementation(
      () =>
        new Promise((resolve) => {
          answer = () => resolve([numbered(1)])
        }),
    )
    const { consumer } = await consuming(handle, { subscriptions: [subscription] })
    const stopping = consumer.stop()
    answer()
    await stopping
    expect(subscription.kinds).toEqual(['release'])
    expect(numbers()).toEqual([])
  })

  test('waits until the last verdicts are durable', async () => {
    const { subscription, consumer, clock } = await consuming(() => {})
    subscription.onSettle = () => failure({ retryable: true })
    subscription.deliver(numbered(1))
    await settle()
    const stopping = consumer.stop()
    subscription.onSettle = () => ({ ok: true })
    await clock.advance('2s')
    await stopping
    expect(subscription.kinds).toEqual(['ack'])
  })

  test('is the same stop however often it is asked for; the shortest timeout counts', async () => {
    const { calls, handle } = held()
    const { subscription, consumer, clock } = await consuming(handle)
    subscription.deliver(delivery({ id: 'slow' }))
    await settle()
    const patient = consumer.stop({ timeout: '1h' })
    const hasty = consumer.stop({ timeout: '1s' })
    await clock.advance('1s')
    expect(await patient).toEqual({ abandoned: ['slow'], released: 0 })
    expect(await hasty).toEqual(await patient)
    calls[0]?.end()
  })

  test('is bounded while the broker answers nothing', async () => {
    const { subscription, consumer, clock } = await consuming(() => {})
    subscription.onSettle = () => new Promise(() => {})
    subscription.onClose = () => new Promise(() => {})
    vi.spyOn(subscription, 'receive').mockImplementation(() => new Promise(() => {}))
    subscription.deliver(numbered(1))
    await settle()
    let stopped = false
    void consumer.stop({ timeout: '1s' }).then(() => {
      stopped = true
    })
    await clock.advance('6s')
    expect(stopped).toBe(true)
  })

  test('leaves no timer and no listener to keep the process alive', async () => {
    const subscription = new StubSubscription(30_000)
    const clock = virtualClock()
    const timers = new Set<() => void>()
    const counting = {
      ...clock,
      after: (delayMs: number, callback: () => void) => {
        const cancel = clock.after(delayMs, () => {
          timers.delete(cancel)
          callback()
        })
        timers.add(cancel)
        return () => {
          timers.delete(cancel)
          cancel()
        }
      },
    }
    const { bus } = await stubBus(stubDriver({ subscribe: async () => subscription }), counting)
    const consumer = bus
      .consumer('billing', { idempotency: memoryIdempotencyStore() })
      .on(OrderCreated, () => {})
    await consumer.start()
    subscription.deliver(numbered(1))
    await settle()
    await bus.close()
    expect(timers.size).toBe(0)
  })

  test('refuses a timeout that is none by rejecting', async () => {
    const { consumer } = await consuming(() => {})
    // @ts-expect-error: what a caller without types can do
    await expect(consumer.stop({ timeout: 'soon' })).rejects.toMatchObject({ code: 'invalid-options' })
    await consumer.stop()
  })

  test('cannot be undone: a stopped consumer says what to do instead', async () => {
    const { consumer } = await consuming(() => {})
    await consumer.stop()
    await expect(consumer.start()).rejects.toMatchObject({
      code: 'closed',
      message: expect.stringMatching(/is stopped; make a new one with bus\.consumer\(\)/),
    })
  })
})

describe('a key on an ordered topic', () => {
  const booking = (n: number, key: string) => delivery({ data: { n }, key })

  test('has one handler at a time, in order, while other keys go on', async () => {
    const { calls, handle, numbers } = held()
    const { subscription } = await consuming(handle, { definition: Booked })
    subscription.deliver(booking(1, 'a'), booking(2, 'a'), booking(3, 'b'))
    await settle()
    expect(numbers()).toEqual([1, 3])
    calls[0]?.end()
    await settle()
    expect(numbers()).toEqual([1, 3, 2])
  })

  test('is held by a retry, with the attempt counted here', async () => {
    const seen: [number, number][] = []
    const { subscription, clock } = await consuming(
      ({ data }, { attempt }) => {
        seen.push([data.n, attempt])
        if (data.n === 1 && attempt < 3) throw new Error('no')
      },
      { definition: Booked, retry: { backoff: fixed('10s') } },
    )
    subscription.deliver(booking(1, 'a'), booking(2, 'a'), booking(3, 'b'))
    await settle()
    expect(seen).toEqual([
      [1, 1],
      [3, 1],
    ])
    await clock.advance('9999ms')
    expect(seen).toHaveLength(2)
    await clock.advance('10001ms')
    expect(seen.slice(2)).toEqual([
      [1, 2],
      [1, 3],
      [2, 1],
    ])
    expect(subscription.kinds).toEqual(['ack', 'ack', 'ack'])
  })

  test('goes on once its head is given up', async () => {
    const { subscription, clock } = await consuming(
      ({ data }) => {
        if (data.n === 1) throw new Error('no')
      },
      { definition: Booked, retry: { attempts: 2, backoff: fixed('10s') } },
    )
    subscription.deliver(booking(1, 'a'), booking(2, 'a'))
    await clock.advance('10s')
    expect(subscription.kinds).toEqual(['dead-letter', 'ack'])
    expect(subscription.settled[0]?.verdict).toMatchObject({ headers: { 'waybill-attempt': '2' } })
  })

  test('goes back as a whole when its head is lost, so that what follows comes again after it', async () => {
    const { calls, handle, numbers } = held()
    const { subscription } = await consuming(handle, { definition: Booked })
    const head = booking(1, 'a')
    subscription.deliver(head, booking(2, 'a'), booking(3, 'b'), booking(4, 'a'))
    await settle()
    subscription.lose(head)
    await settle()
    expect(subscription.kinds).toEqual(['release', 'release'])
    calls[0]?.end(new Error('too late'))
    await settle()
    expect(numbers()).toEqual([1, 3])
  })

  test('goes back at once when it is to be handed over, but for what is running', async () => {
    const { calls, handle, numbers } = held()
    const { subscription, clock } = await consuming(handle, {
      definition: Booked,
      concurrency: 2,
      retry: { backoff: fixed('10m') },
    })
    const all = [booking(1, 'a'), booking(2, 'a'), booking(3, 'b'), booking(4, 'b'), booking(5, 'c')]
    const kept = booking(6, 'd')
    subscription.deliver(...all, kept)
    await settle()
    calls[0]?.end(new Error('no'))
    await settle()
    expect(numbers()).toEqual([1, 3, 5])
    const settled = () =>
      subscription.settled.map(({ delivery, verdict }) => [all.indexOf(delivery) + 1, verdict.kind])
    subscription.handOver(...all)
    await settle()
    const released = [1, 2, 4].map((n) => [n, 'release'])
    expect(settled()).toEqual(released)
    calls[1]?.end()
    calls[2]?.end(new Error('no'))
    await settle()
    expect(settled()).toEqual([...released, [3, 'ack']])
    subscription.handOver(...all)
    await settle()
    expect(settled()).toEqual([...released, [3, 'ack'], [5, 'release']])
    await clock.advance('10m')
    expect(numbers()).toEqual([1, 3, 5, 6])
  })

  test('keeps what backs off, where the key may stay, when it is to be handed over', async () => {
    const { calls, handle, numbers } = held()
    const { subscription, clock } = await consuming(handle, {
      definition: Booked,
      concurrency: 2,
      retry: { backoff: fixed('10m') },
    })
    const all = [booking(1, 'a'), booking(2, 'a'), booking(3, 'b'), booking(4, 'b')]
    subscription.deliver(...all)
    await settle()
    calls[0]?.end(new Error('no'))
    await settle()
    subscription.handOverButBackoffs(...all)
    await settle()
    expect(
      subscription.settled.map(({ delivery, verdict }) => [all.indexOf(delivery) + 1, verdict.kind]),
    ).toEqual([
      [2, 'release'],
      [4, 'release'],
    ])
    await clock.advance('10m')
    expect(numbers()).toEqual([1, 3, 1])
  })

  test('goes back in order when its head runs longer than maxLease', async () => {
    const { calls, handle, numbers } = held()
    const subscription = new StubSubscription(30_000)
    const { clock, names } = await consuming(handle, {
      definition: Booked,
      subscriptions: [subscription],
      maxLease: '5m',
    })
    subscription.deliver(booking(1, 'a'), booking(2, 'a'))
    await clock.advance('6m')
    expect(subscription.settled.map(({ delivery, verdict }) => [delivery.key, verdict.kind])).toEqual([
      ['a', 'release'],
      ['a', 'release'],
    ])
    expect(calls[0]?.context.signal.aborted).toBe(true)
    expect(names()).toEqual(['lost'])
    expect(numbers()).toEqual([1])
  })

  test('keeps what waits behind a head whose backoff is longer than maxLease', async () => {
    const seen: [number, number][] = []
    const subscription = new StubSubscription(30_000)
    const { clock } = await consuming(
      ({ data }, { attempt }) => {
        seen.push([data.n, attempt])
        if (data.n === 1 && attempt === 1) throw new Error('no')
      },
      { definition: Booked, subscriptions: [subscription], maxLease: '5m', retry: { backoff: fixed('20m') } },
    )
    subscription.deliver(booking(1, 'a'), booking(2, 'a'))
    await clock.advance('20m')
    expect(seen).toEqual([
      [1, 1],
      [1, 2],
      [2, 1],
    ])
    expect(subscription.kinds).toEqual(['ack', 'ack'])
  })

  test('shows each attempt the data as it was sent, whatever the one before made of it', async () => {
    const seen: number[] = []
    const { subscription, clock } = await consuming(
      ({ data }, { attempt }) => {
        seen.push(data.n)
        data.n += 100
        if (attempt === 1) throw new Error('no')
      },
      { definition: Booked, retry: { backoff: fixed('1s') } },
    )
    subscription.deliver(booking(1, 'a'))
    await clock.advance('1s')
    expect(seen).toEqual([1, 1])
  })

  test('is free when the verdict of its head is durable, not when it is given', async () => {
    const { subscription, clock } = await consuming(() => {}, { definition: Booked })
    const tried: number[] = []
    const isRefused = new Set([1])
    const numberOf = ({ body }: { body: Uint8Array }) => JSON.parse(new TextDecoder().decode(body)).data.n
    subscription.onSettle = (settlement) => {
      tried.push(numberOf(settlement.delivery))
      return isRefused.has(numberOf(settlement.delivery)) ? failure({ retryable: true }) : { ok: true }
    }
    subscription.deliver(booking(1, 'a'), booking(2, 'a'), booking(3, 'b'))
    await settle()
    expect(tried).toEqual([1, 3])
    isRefused.clear()
    await clock.advance('5s')
    expect(tried.slice(2)).toEqual([1, 2])
  })

  test('that goes back takes along what a fetch under way brings of it, and opens when all of it is back', async () => {
    const { handle, numbers } = held()
    const { subscription, consumer } = await consuming(handle, { definition: Booked, concurrency: 1 })
    const answers: (() => void)[] = []
    subscription.deliver(booking(1, 'a'), booking(2, 'b'), booking(3, 'b'))
    await settle()
    // Key b waits for a slot; its release takes a while.
    subscription.onSettle = () =>
      new Promise((resolve) => {
        answers.push(() => resolve({ ok: true }))
      })
    consumer.pause()
    subscription.deliver(booking(4, 'b'), booking(5, 'c'))
    consumer.resume()
    await settle()
    subscription.onSettle = () => ({ ok: true })
    for (const answer of answers) answer()
    await settle()
    expect(numbers()).toEqual([1])
    expect(subscription.settled.map(({ delivery: { key }, verdict }) => `${key} ${verdict.kind}`)).toEqual([
      'b release',
      'b release',
      'b release',
    ])
  })

  test('whose release fails holds up no other key', async () => {
    const subscription = new StubSubscription(30_000)
    const { handle, numbers } = held()
    const { clock } = await consuming(handle, {
      definition: Booked,
      subscriptions: [subscription],
      maxLease: '1m',
    })
    subscription.onSettle = ({ verdict }) =>
      verdict.kind === 'release' ? failure({ retryable: true }) : { ok: true }
    subscription.deliver(booking(1, 'a'), booking(2, 'a'))
    await clock.advance('2m')
    subscription.deliver(booking(3, 'b'), booking(4, 'a'))
    await settle()
    expect(numbers()).toEqual([1, 3])
    subscription.onSettle = () => ({ ok: true })
    await clock.advance('5s')
    expect(subscription.settled.map(({ delivery: { key }, verdict }) => `${key} ${verdict.kind}`)).toEqual([
      'a release',
      'a release',
      'a release',
    ])
    expect(numbers()).toEqual([1, 3])
  })

  test('stays while its head runs when the consumer is paused, and goes back after it', async () => {
    const { calls, handle, numbers } = held()
    const { subscription, consumer } = await consuming(handle, { definition: Booked })
    subscription.deliver(booking(1, 'a'), booking(2, 'a'))
    await settle()
    consumer.pause()
    await settle()
    expect(subscription.kinds).toEqual([])
    calls[0]?.end()
    await settle()
    expect(subscription.kinds).toEqual(['ack', 'release'])
    expect(numbers()).toEqual([1])
  })

  test('of ten thousand released deliveries is left without a stack overflow', async () => {
    const { calls, handle } = held()
    const { subscription, consumer } = await consuming(handle, { definition: Booked, prefetch: 10_000 })
    subscription.deliver(...Array.from({ length: 10_000 }, (_, n) => booking(n, 'a')))
    await settle()
    consumer.pause()
    calls[0]?.end()
    await settle()
    expect(subscription.kinds.filter((kind) => kind === 'ack')).toHaveLength(1)
    expect(consumer.health()).toMatchObject([{ inFlight: 0 }])
  })
})

describe('a crash loop', () => {
  test('ends in the dead letters before a handler sees the message again', async () => {
    const { calls, handle } = held()
    const { subscription } = await consuming(handle, { maxDeliveries: 5 })
    subscription.deliver(delivery({}, { deliveries: 5 }), delivery({}, { deliveries: 6 }))
    await settle()
    expect(calls).toHaveLength(1)
    expect(subscription.settled[0]?.verdict).toMatchObject({
      kind: 'dead-letter',
      headers: { 'waybill-reason': 'crash-loop', 'waybill-deliveries': '6' },
    })
  })

  test('does not count the deliveries that retries account for', async () => {
    const { calls, handle } = held()
    const { subscription } = await consuming(handle, { maxDeliveries: 5, retry: { attempts: 50 } })
    subscription.deliver(delivery({}, { attempt: 11, deliveries: 15 }))
    await settle()
    expect(calls).toHaveLength(1)
  })
})

describe('a handler that hangs', () => {
  test('has its signal fired and its attempt failed at its timeout, and frees its slot', async () => {
    const { calls, handle, numbers } = held()
    const { subscription, clock, events } = await consuming(handle, {
      timeout: '5s',
      concurrency: 1,
      retry: { backoff: fixed('7s') },
    })
    subscription.deliver(numbered(1), numbered(2))
    await clock.advance('4999ms')
    expect(calls[0]?.context.signal.aborted).toBe(false)
    await clock.advance('1ms')
    expect(calls[0]?.context.signal.reason).toMatchObject({ code: 'timeout' })
    expect(subscription.settled[0]?.verdict).toMatchObject({ kind: 'retry', delayMs: 7000 })
    expect(events).toMatchObject([
      ['retried', { error: { message: expect.stringMatching(/longer than 5000 ms/) } }],
    ])
    expect(numbers()).toEqual([1, 2])
    calls[0]?.end(new Error('much later'))
    await settle()
    expect(subscription.kinds).toEqual(['retry'])
  })

  test('on an ordered topic gets a signal of its own for each attempt', async () => {
    const aborted: boolean[] = []
    const { subscription, clock } = await consuming(
      (_message, { attempt, signal }) => {
        aborted.push(signal.aborted)
        return attempt === 1 ? new Promise(() => {}) : undefined
      },
      { definition: Booked, timeout: '5s', retry: { backoff: fixed('1s') } },
    )
    subscription.deliver(delivery({ key: 'k' }))
    await clock.advance('6s')
    expect(aborted).toEqual([false, false])
    expect(subscription.kinds).toEqual(['ack'])
  })

  test('has the timeout of its own registration before the one of the consumer, in a batch too', async () => {
    const subscription = new StubSubscription()
    const { bus, clock } = await stubBus(stubDriver({ subscribe: async () => subscription }))
    const OrderShipped = defineMessage(orders, 'order.shipped', { schema })
    const OrderClosed = defineMessage(orders, 'order.closed', { schema })
    const hang = () => new Promise(() => {})
    await bus
      .consumer('billing', { timeout: '10s' })
      .on(OrderCreated, hang)
      .on(OrderShipped, hang, { timeout: '1s' })
      .onBatch(OrderClosed, { size: 2, timeout: '2s' }, hang)
      .start()
    const types = ['order.created', 'order.shipped', 'order.closed', 'order.closed']
    subscription.deliver(...types.map((type) => delivery({ type })))
    await clock.advance('1s')
    expect(subscription.kinds).toEqual(['retry'])
    await clock.advance('1s')
    expect(subscription.kinds).toHaveLength(3)
    await clock.advance('8s')
    expect(subscription.kinds).toHaveLength(4)
  })

  test('has options that are parsed strictly', async () => {
    const { bus } = await stubBus(stubDriver())
    const consumer = bus.consumer('billing')
    // @ts-expect-error: what a caller without types can do
    expect(() => consumer.on(OrderCreated, () => {}, { timeot: '1s' })).toThrow(/timeot/)
    expect(() => consumer.on('#', () => {}, { timeout: 0 })).toThrow(/more than 0/)
  })

  test('shows its age, and when all are stuck the consumer says so, once', async () => {
    const { calls, handle } = held()
    const { subscription, consumer, clock, bus } = await consuming(handle, {
      concurrency: 2,
      stuckAfter: '1m',
    })
    const stuck: unknown[] = []
    bus.on('stuck', (event) => stuck.push(event))
    subscription.deliver(numbered(1), numbered(2))
    await clock.advance('59s')
    expect(consumer.health()).toMatchObject([{ running: 2, oldestRunningMs: 59_000 }])
    expect(consumer.health()[0]?.error).toBeUndefined()
    await clock.advance('3m')
    expect(consumer.health()).toMatchObject([{ error: { code: 'timeout' } }])
    expect(await bus.health()).toMatchObject({ status: 'degraded' })
    expect(stuck).toMatchObject([{ topic: 'orders', group: 'billing', running: 2, oldestRunningMs: 60_000 }])
    calls[0]?.end()
    await settle()
    expect(consumer.health()[0]?.error).toBeUndefined()
    expect(consumer.health()[0]?.oldestRunningMs).toBe(239_000)
  })

  test('loses its delivery at maxLease without leases too: it is given back', async () => {
    const { calls, handle } = held()
    const { subscription, clock, names } = await consuming(handle, { maxLease: '5m' })
    subscription.deliver(numbered(1))
    await clock.advance('330s')
    expect(names()).toEqual(['lost'])
    expect(calls[0]?.context.signal.aborted).toBe(true)
    expect(subscription.kinds).toEqual(['release'])
  })
})

describe('a lease that cannot be renewed', () => {
  test.each([
    ['fails', () => Promise.reject(new Error('connection reset'))],
    ['hangs', () => new Promise<void>(() => {})],
  ])('because renewing %s is lost when it runs out, and its ack is not sent', async (_how, extend) => {
    const subscription = new StubSubscription(30_000)
    vi.spyOn(subscription, 'extend').mockImplementation(extend)
    const { calls, handle } = held()
    const { clock, names } = await consuming(handle, { subscriptions: [subscription] })
    subscription.deliver(numbered(1))
    await clock.advance('29999ms')
    expect(calls[0]?.context.signal.aborted).toBe(false)
    await clock.advance('1ms')
    expect(calls[0]?.context.signal.aborted).toBe(true)
    expect(names().filter((name) => name === 'lost')).toEqual(['lost'])
    calls[0]?.end()
    await settle()
    expect(subscription.settled).toEqual([])
  })

  test('is not lost when renewing works again in time', async () => {
    const subscription = new StubSubscription(30_000)
    vi.spyOn(subscription, 'extend').mockRejectedValueOnce(new Error('connection reset'))
    const { calls, handle } = held()
    const { clock, consumer } = await consuming(handle, { subscriptions: [subscription] })
    subscription.deliver(numbered(1))
    await clock.advance('10s')
    expect(consumer.health()).toMatchObject([
      { error: { message: expect.stringMatching(/connection reset/) } },
    ])
    await clock.advance('1m')
    expect(consumer.health()[0]?.error).toBeUndefined()
    calls[0]?.end()
    await settle()
    expect(subscription.kinds).toEqual(['ack'])
  })

  test('sends no ack either when the process was stopped and its timers are late', async () => {
    const clock = virtualClock()
    let stoppedForMs = 0
    const late = { ...clock, monotonic: () => clock.monotonic() + stoppedForMs }
    const subscription = new StubSubscription(30_000)
    const { bus } = await stubBus(stubDriver({ subscribe: async () => subscription }), late)
    const { calls, handle } = held()
    await bus.consumer('billing').on(OrderCreated, handle).start()
    subscription.deliver(numbered(1))
    await settle()
    stoppedForMs = 60_000
    calls[0]?.end()
    await settle()
    expect(subscription.settled).toEqual([])
  })
})

describe('a receive that fails', () => {
  const keeping = { capabilities: { keepsDeliveries: true } }
  const reset = () => new MessagingError('disconnected', 'connection reset', { retryable: true })

  async function keepingConsumer(
    handle: Handle,
    subscriptions: StubSubscription[],
    options: ConsumerOptions = {},
  ) {
    const left = [...subscriptions]
    const subscribe = async () => {
      const next = left.shift()
      if (next === undefined) throw reset()
      return next
    }
    const { bus, clock } = await stubBus(stubDriver({ ...keeping, subscribe }))
    const consumer = bus.consumer('billing', options).on(OrderCreated, handle)
    const failures: unknown[] = []
    bus.on('failure', (event) => failures.push(event))
    await consumer.start()
    return { consumer, clock, failures, left }
  }

  test('costs nothing of what is in hand where deliveries outlive it, and shows until one succeeds', async () => {
    const subscription = new StubSubscription()
    const { calls, handle, numbers } = held()
    const { consumer, clock, failures } = await keepingConsumer(handle, [subscription])
    subscription.deliver(numbered(1))
    await settle()
    const receive = vi.spyOn(subscription, 'receive').mockRejectedValue(reset())
    subscription.deliver(numbered(2))
    await clock.advance('1m')
    expect(consumer.health()).toMatchObject([
      { state: 'running', error: { code: 'disconnected' }, inFlight: 2 },
    ])
    expect(failures.length).toBeGreaterThan(5)
    receive.mockRestore()
    subscription.deliver(numbered(3))
    await clock.advance('5s')
    expect(consumer.health()[0]?.error).toBeUndefined()
    for (const call of calls) call.end()
    await settle()
    expect(numbers()).toEqual([1, 2, 3])
    expect(subscription.kinds).toEqual(['ack', 'ack', 'ack'])
    expect(subscription.closed).toBe(0)
  })

  test('again and again with nothing in hand makes a new subscription, which may mend it', async () => {
    const [first, second] = [new StubSubscription(), new StubSubscription()]
    const { clock, left } = await keepingConsumer(() => {}, [first, second])
    first.breakWith(reset())
    await clock.advance('30s')
    expect(first.closed).toBe(1)
    expect(left).toEqual([])
  })

  test('for want of the topology makes it again, even with something in hand', async () => {
    const [first, second] = [new StubSubscription(), new StubSubscription()]
    const { clock, left } = await keepingConsumer(held().handle, [first, second])
    first.deliver(numbered(1))
    await settle()
    first.breakWith(new MessagingError('topology-missing', 'gone', { retryable: true }))
    await clock.advance('5s')
    expect(left).toEqual([])
  })
})

describe('what cannot be settled for the moment', () => {
  test('takes none of its neighbours’ room, up to a bound, and shows', async () => {
    const { subscription, consumer, clock } = await consuming(
      ({ data }) => {
        if (data.n < 100) throw new PermanentError('hopeless')
      },
      { prefetch: 4 },
    )
    const sizes: number[] = []
    subscription.resize = (size) => sizes.push(size)
    const healthy: Parameters<typeof subscription.onSettle>[0][] = []
    subscription.onSettle = (settlement) => {
      if (settlement.verdict.kind === 'dead-letter') return failure({}, 'the dead-letter queue is full')
      healthy.push(settlement)
      return { ok: true }
    }
    subscription.deliver(...[1, 2, 3, 4].map(numbered))
    await settle()
    subscription.deliver(...[101, 102, 103].map(numbered))
    await settle()
    expect(healthy).toHaveLength(3)
    expect(consumer.health()).toMatchObject([{ unsettled: 4, inFlight: 4, error: { code: 'rejected' } }])
    expect(sizes.at(-1)).toBe(8)
    subscription.deliver(...[5, 6, 7, 8].map(numbered))
    await settle()
    subscription.deliver(numbered(104))
    await settle()
    expect(healthy).toHaveLength(3)
    subscription.onSettle = () => ({ ok: true })
    await clock.advance('10s')
    expect(consumer.health()).toMatchObject([{ inFlight: 0 }])
    expect(consumer.health()[0]).not.toHaveProperty('unsettled')
    expect(sizes.at(-1)).toBe(4)
  })
})

describe('crashes and releases', () => {
  test('are told apart where the driver tells them apart, however often a message was handed out', async () => {
    const { calls, handle } = held()
    const { subscription } = await consuming(handle, { maxDeliveries: 5 })
    subscription.deliver(
      delivery({}, { deliveries: 100, crashes: 4 }),
      delivery({}, { deliveries: 6, crashes: 5 }),
    )
    await settle()
    expect(calls).toHaveLength(1)
    expect(subscription.settled[0]?.verdict).toMatchObject({ headers: { 'waybill-deliveries': '6' } })
  })

  test('a neighbour of what is given up, with no more crashes than it, reaches its handler', async () => {
    const { handle, numbers } = held()
    const { subscription } = await consuming(handle, { maxDeliveries: 5 })
    subscription.deliver(...[1, 2, 3].map((n) => delivery({ data: { n } }, { crashes: 5 })))
    await settle()
    expect(subscription.kinds).toEqual(['dead-letter'])
    expect(numbers()).toEqual([2, 3])
    subscription.deliver(delivery({ data: { n: 4 } }, { crashes: 6 }))
    await settle()
    expect(subscription.kinds).toEqual(['dead-letter', 'dead-letter'])
  })
})

describe('leaks', () => {
  test('a consumer of many messages leaves no listeners on long-lived signals', async () => {
    const { subscription } = await consuming(() => {}, { prefetch: 1 })
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    for (let n = 0; n < 200; n += 1) {
      subscription.deliver(numbered(n))
      await settle()
    }
    process.off('warning', onWarning)
    expect(subscription.kinds).toHaveLength(200)
    expect(warnings).toEqual([])
  })
})
