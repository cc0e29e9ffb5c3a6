import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import {
  delivery,
  heldPublish,
  StubSubscription,
  stubAdapter,
  stubBus,
  stubDriver,
} from '../driver/stub-driver.fixture.ts'
import type { DeadLetterStore, Driver, StoredDeadLetter } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'
import { settle, virtualClock } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'
import type { BusMiddleware } from './bus.ts'
import { connect } from './connect.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const schema = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema })
const OrderPaid = defineMessage(orders, 'order.paid', { schema })

/** A bus with a consumer on a subscription of the test's. */
async function consuming(handle: () => unknown, driver: Partial<Omit<Driver, 'capabilities'>> = {}) {
  const subscription = new StubSubscription()
  const { bus, clock } = await stubBus(stubDriver({ subscribe: async () => subscription, ...driver }))
  const consumer = bus.consumer('billing').on(OrderCreated, handle)
  await consumer.start()
  return { bus, clock, subscription, consumer }
}

describe('closing', () => {
  test('drains consumers, then sends, then the driver', async () => {
    const log: string[] = []
    const { calls, publish } = heldPublish()
    let end = () => {}
    const handle = () =>
      new Promise<void>((resolve) => {
        end = resolve
      })
    const close = async () => {
      log.push('driver closed')
    }
    const { bus, subscription } = await consuming(handle, { publish, close })
    void bus
      .producer()
      .send(OrderPaid, { n: 1 })
      .then(() => log.push('sent'))
    subscription.deliver(delivery())
    await settle()
    const closing = bus.close().then(() => log.push('closed'))
    await settle()
    expect(log).toEqual([])
    end()
    await settle()
    expect(subscription.kinds).toEqual(['ack'])
    expect(log).toEqual([])
    calls[0]?.answer({ ok: true })
    await closing
    expect(log).toEqual(['sent', 'driver closed', 'closed'])
  })

  test('lets handlers that are being drained still send; others are refused', async () => {
    await using test = await createTestBus({ topics: [orders] })
    const { bus } = test
    const producer = bus.producer()
    let goOn = () => {}
    for (const register of ['on', 'onBatch'] as const) {
      const handle = async () => {
        await new Promise<void>((resolve) => {
          const others = goOn
          goOn = () => {
            others()
            resolve()
          }
        })
        await producer.send(OrderPaid, { n: 2 })
      }
      const consumer = bus.consumer(`group-${register}`, { allowUndeclaredGroup: true })
      if (register === 'on') consumer.on(OrderCreated, handle)
      else consumer.onBatch(OrderCreated, { size: 1 }, handle)
      await consumer.start()
    }
    await producer.send(OrderCreated, { n: 1 })
    await settle()
    const closing = bus.close()
    await expect(producer.send(OrderPaid, { n: 3 })).rejects.toMatchObject({ code: 'closed' })
    goOn()
    await closing
    expect(test.sentOf(OrderPaid).map(({ data }) => data.n)).toEqual([2, 2])
    expect(test.handled).toHaveLength(2)
  })

  test('is bounded by its timeout and one grace while handlers and broker hang', async () => {
    const never = () => new Promise<never>(() => {})
    const { bus, clock, subscription } = await consuming(never, { publish: never, close: never })
    const sending = bus
      .producer()
      .send(OrderPaid, { n: 1 })
      .catch((error: unknown) => error)
    subscription.onClose = never
    subscription.onSettle = never
    vi.spyOn(subscription, 'receive').mockImplementation(never)
    subscription.deliver(delivery())
    await settle()
    let closed = false
    void bus.close({ timeout: '1s' }).then(() => {
      closed = true
    })
    await clock.advance('6s')
    expect(closed).toBe(true)
    expect(await sending).toMatchObject({ code: 'closed', fate: 'unknown' })
  })

  test('does not wait for a stop with a longer timeout that is under way', async () => {
    const { bus, clock, subscription, consumer } = await consuming(() => new Promise(() => {}))
    subscription.deliver(delivery())
    await settle()
    void consumer.stop({ timeout: '1h' })
    let closed = false
    void bus.close({ timeout: '1s' }).then(() => {
      closed = true
    })
    await clock.advance('1s')
    expect(closed).toBe(true)
    expect(subscription.kinds).toEqual(['release'])
  })

  test('twice is closing once', async () => {
    const close = vi.fn(async () => {})
    const { bus } = await stubBus(stubDriver({ close }))
    await Promise.all([bus.close(), bus.close()])
    await bus.close()
    expect(close).toHaveBeenCalledOnce()
  })

  test('happens at the end of a scope', async () => {
    const close = vi.fn(async () => {})
    {
      await using bus = (await stubBus(stubDriver({ close }))).bus
      expect(bus.driver).toBe('stub')
    }
    expect(close).toHaveBeenCalledOnce()
  })

  test('refuses a timeout that is none by rejecting, and can still be done right', async () => {
    const close = vi.fn(async () => {})
    const { bus } = await stubBus(stubDriver({ close }))
    // @ts-expect-error: what a caller without types can do
    await expect(bus.close({ timeout: 'soon' })).rejects.toMatchObject({ code: 'invalid-options' })
    await bus.close()
    expect(close).toHaveBeenCalledOnce()
  })

  test('reports a driver that fails to close, and still resolves', async () => {
    const { bus } = await stubBus(stubDriver({ close: () => Promise.reject(new Error('socket hang up')) }))
    const failures: unknown[] = []
    bus.on('failure', (event) => failures.push(event))
    await bus.close()
    expect(failures).toMatchObject([
      { what: 'closing the driver', error: { message: expect.stringMatching(/socket hang up/) } },
    ])
  })

  test('makes everything else refuse', async () => {
    const { bus } = await stubBus(stubDriver())
    const consumer = bus.consumer('billing').on(OrderCreated, () => {})
    const letters = bus.group(orders, 'billing').deadLetters
    const group = bus.group(orders, 'billing')
    await bus.close()
    for (const call of [
      () => bus.producer(),
      () => bus.consumer('billing'),
      () => bus.receive(OrderCreated, { group: 'billing' }),
    ]) {
      expect(call).toThrow(/The bus is closed; connect again/)
    }
    for (const call of [
      () => consumer.start(),
      () => bus.provision([orders]),
      () => letters.count(),
      () => letters.list()[Symbol.asyncIterator]().next(),
      () => letters.replay('x'),
      () => letters.replayAll(),
      () => letters.discard('x'),
      () => letters.discardAll(),
      () => group.stats(),
      () => group.seek({ to: 'earliest' }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'closed' })
    }
    expect(await bus.health()).toMatchObject({ status: 'down', driver: { error: { code: 'closed' } } })
  })
})

describe('health', () => {
  test('is up while the broker answers and every consumer receives', async () => {
    const { bus } = await consuming(() => {})
    expect(await bus.health()).toEqual({
      status: 'up',
      driver: { status: 'up', details: {} },
      consumers: [{ topic: 'orders', group: 'billing', state: 'running', inFlight: 0, running: 0 }],
    })
  })

  test('is degraded while a consumer recovers, and down while the broker does not answer', async () => {
    const { bus, subscription } = await consuming(() => {})
    subscription.breakWith(new MessagingError('disconnected', 'connection reset', { retryable: true }))
    await settle()
    expect(await bus.health()).toMatchObject({ status: 'degraded', consumers: [{ state: 'recovering' }] })
    const down = await stubBus(stubDriver({ health: async () => ({ status: 'down', details: {} }) }))
    expect(await down.bus.health()).toMatchObject({ status: 'down' })
  })

  test('forgets consumers that have stopped', async () => {
    const { bus, consumer } = await consuming(() => {})
    await consumer.stop()
    expect((await bus.health()).consumers).toEqual([])
  })
})

describe('dead letters', () => {
  const stored = (headers: Record<string, string>, body = 'not an event'): StoredDeadLetter => ({
    id: 'd-1',
    body: new TextEncoder().encode(body),
    contentType: undefined,
    headers,
  })

  async function listing(letter: StoredDeadLetter) {
    const store: DeadLetterStore = {
      count: async () => 1,
      async *list() {
        yield letter
      },
      replay: async (ids) => ids.length,
      discard: async (ids) => ids.length,
    }
    const { bus } = await stubBus(stubDriver({ deadLetters: () => store }))
    for await (const each of bus.group(orders, 'billing').deadLetters.list()) return each
    throw new Error('no letter')
  }

  test('tell all that was recorded of them', async () => {
    const letter = await listing({
      ...stored({
        'waybill-reason': 'attempts-exhausted',
        'waybill-error-name': 'RangeError',
        'waybill-error-message': 'too much',
        'waybill-error-stack': 'RangeError: too much\n    at x',
        'waybill-topic': 'orders-old',
        'waybill-group': 'billing-old',
        'waybill-attempt': '5',
        'waybill-deliveries': '7',
        'waybill-first-failed-at': '2026-01-01T00:00:00.000Z',
        'waybill-failed-at': '2026-01-01T01:00:00.000Z',
      }),
      body: delivery({ id: 'o-1' }).body,
    })
    expect(letter).toMatchObject({
      id: 'd-1',
      reason: 'attempts-exhausted',
      error: { name: 'RangeError', message: 'too much', stack: 'RangeError: too much\n    at x' },
      topic: 'orders-old',
      group: 'billing-old',
      attempts: 5,
      deliveries: 7,
      firstFailedAt: new Date('2026-01-01T00:00:00.000Z'),
      failedAt: new Date('2026-01-01T01:00:00.000Z'),
      message: { id: 'o-1', type: 'order.created' },
    })
  })

  test('are read even if nothing of ours is on them, or nonsense', async () => {
    expect(await listing(stored({}))).toMatchObject({
      reason: 'unknown',
      error: undefined,
      topic: 'orders',
      group: 'billing',
      attempts: 1,
      deliveries: 1,
      firstFailedAt: undefined,
      failedAt: undefined,
      message: undefined,
    })
    const nonsense = {
      'waybill-deliveries': 'many',
      'waybill-failed-at': 'yesterday',
      'waybill-attempt': '-1',
    }
    expect(await listing(stored(nonsense))).toMatchObject({ attempts: 1, deliveries: 1, failedAt: undefined })
  })
})

describe('the native client', () => {
  test('is given to who names the driver, and refused to who names another', async () => {
    const client = {}
    const { bus } = await stubBus(stubDriver({ native: () => client }))
    expect(bus.native('stub')).toBe(client)
    expect(() => bus.native('memory')).toThrow(
      /^The native client of "memory" was asked for, but this bus runs on the stub driver\. Call native\('stub'\)/,
    )
    // @ts-expect-error: what a caller without types can do
    expect(() => bus.native()).toThrow(/native client of undefined was asked for/)
  })
})

describe('a group', () => {
  test('is moved to where it is told, if the broker can', async () => {
    const seek = vi.fn(async () => {})
    const { bus } = await stubBus(stubDriver({ seek }))
    const group = bus.group(orders, 'billing')
    await group.seek({ to: 'earliest' })
    await group.seek({ to: 'time', time: new Date(5000) })
    await group.seek({ to: 'offset', offset: '42' })
    await group.seek({ to: 'offset', offset: '42', partition: 3 })
    expect(seek.mock.calls).toEqual([
      [orders, 'billing', { to: 'earliest' }],
      [orders, 'billing', { to: 'time', time: 5000 }],
      [orders, 'billing', { to: 'offset', offset: '42', partition: 0 }],
      [orders, 'billing', { to: 'offset', offset: '42', partition: 3 }],
    ])
    const without = await stubBus(stubDriver({ capabilities: { seek: false }, seek }))
    await expect(without.bus.group(orders, 'billing').seek({ to: 'latest' })).rejects.toMatchObject({
      code: 'unsupported',
    })
  })

  test('is not moved to a time that is none', async () => {
    const seek = vi.fn(async () => {})
    const { bus } = await stubBus(stubDriver({ seek }))
    const seeking = bus.group(orders, 'billing').seek({ to: 'time', time: new Date('soon') })
    await expect(seeking).rejects.toThrow(/position\.time: expected a valid date/)
    expect(seek).not.toHaveBeenCalled()
  })

  test('has a name like a topic’s', async () => {
    const { bus } = await stubBus(stubDriver())
    // @ts-expect-error: a group that is not declared
    expect(() => bus.group(orders, 'two words')).toThrow(/group: expected 1 to 64 letters/)
  })
})

test('events of the driver reach the bus’s listeners', async () => {
  const adapter = stubAdapter(() => stubDriver())
  const bus = await connect({ url: 'stub:', adapter })
  const heard: unknown[] = []
  bus.on('blocked', (event) => heard.push(event)).on('warning', (event) => heard.push(event))
  adapter.contexts[0]?.emit({ type: 'blocked', reason: 'out of memory' })
  adapter.contexts[0]?.emit({ type: 'warning', message: 'trimmed' })
  expect(heard).toEqual([{ reason: 'out of memory' }, { message: 'trimmed' }])
  await bus.close()
})

test('middleware of one side leaves the other alone', async () => {
  await using test = await createTestBus({ topics: [orders] })
  const log: string[] = []
  const sending: BusMiddleware = {
    send: async (_context, next) => {
      log.push('send')
      await next()
    },
  }
  const handling: BusMiddleware = {
    handle: async (_context, next) => {
      log.push('handle')
      await next()
    },
  }
  test.bus.use(sending).use(handling)
  await test.bus
    .consumer('billing')
    .on(OrderCreated, () => {})
    .start()
  await test.bus.producer().send(OrderCreated, { n: 1 })
  await test.idle()
  expect(log).toEqual(['send', 'handle'])
})

test('a bus that has been closed leaves nothing that keeps the clock', async () => {
  const clock = virtualClock()
  const pending = new Set<() => void>()
  const counting = {
    ...clock,
    after: (delayMs: number, callback: () => void) => {
      const cancel = clock.after(delayMs, () => {
        pending.delete(cancel)
        callback()
      })
      pending.add(cancel)
      return () => {
        pending.delete(cancel)
        cancel()
      }
    },
  }
  const bus = await connect({ url: 'memory:', clock: counting, topics: [orders] })
  await bus
    .consumer('billing')
    .on(OrderCreated, () => {})
    .onBatch(OrderPaid, { size: 10 }, () => {})
    .start()
  const producer = bus.producer()
  await producer.send(OrderCreated, { n: 1 })
  await producer.send(OrderPaid, { n: 1 })
  await producer.send(OrderCreated, { n: 1 }, { delay: '1h' })
  await settle()
  expect(pending.size).toBeGreaterThan(0)
  await bus.close()
  expect(pending.size).toBe(0)
})
