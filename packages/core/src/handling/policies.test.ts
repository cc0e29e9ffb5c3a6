import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { connect } from '../bus/connect.ts'
import { type ConfigurationError, PermanentError } from '../lib/errors.ts'
import { fixed } from '../lib/retry.ts'
import { type VirtualClock, virtualClock } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { KeySlots } from './key-slots.ts'
import { memoryRateLimitStore } from './rate-limit.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const schema = z.object({ n: z.number(), tenant: z.string().optional() })
const Placed = defineMessage(orders, 'order.placed', { schema, retry: { attempts: 3, backoff: fixed(10) } })
const Paid = defineMessage(orders, 'order.paid', { schema })

const buses: Bus[] = []
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close({ timeout: 0 })
})

async function open() {
  const clock = virtualClock()
  const bus = await connect({ url: 'memory:', console: false, clock })
  buses.push(bus)
  return { bus, clock, producer: bus.producer() }
}

/** Lets what is due happen, a little at a time. */
async function pass(clock: VirtualClock, ms: number, step = 10): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) await clock.advance(step)
}

async function letters(bus: Bus) {
  const found = []
  for await (const letter of bus.group(orders, 'billing').deadLetters.list()) found.push(letter)
  return found
}

const numbers = (count: number, tenant?: string) =>
  Array.from({ length: count }, (_, n) => ({ n, ...(tenant !== undefined && { tenant }) }))

describe('retries', () => {
  test('are the handler’s, then the definition’s, then the consumer’s; what the sender asks for comes first', async () => {
    const { bus, clock, producer } = await open()
    const calls: string[] = []
    const failing = (name: string) => (message: { readonly data: { readonly n: number } }) => {
      calls.push(`${name} ${message.data.n}`)
      throw new Error('no')
    }
    await bus
      .consumer('billing', { retry: { attempts: 2, backoff: fixed(10) } })
      .on(Placed, failing('placed'))
      .on(Paid, failing('paid'))
      .on('order.#', failing('other') as never, { retry: { attempts: 4 } })
      .start()
    const Other = defineMessage(orders, 'order.other', { schema })
    await producer.send(Placed, { n: 0 })
    await producer.send(Paid, { n: 0 })
    await producer.send(Other, { n: 0 })
    await producer.send(Placed, { n: 1 }, { attempts: 1 })
    await producer.send(Paid, { n: 1 }, { attempts: 5 })
    await pass(clock, 200)
    const count = (call: string) => calls.filter((each) => each === call).length
    expect(['placed 0', 'paid 0', 'other 0', 'placed 1', 'paid 1'].map(count)).toEqual([3, 2, 4, 1, 5])
    expect(await letters(bus)).toHaveLength(5)
    calls.length = 0
    await bus.group(orders, 'billing').deadLetters.replayAll()
    await pass(clock, 200)
    expect(['placed 1', 'paid 1'].map(count), 'after a replay').toEqual([1, 5])
  })
})

describe('concurrency', () => {
  test('of a handler leaves the others their slots and their share of prefetch', async () => {
    const { bus, clock, producer } = await open()
    let slow = 0
    let mostSlow = 0
    const quick: number[] = []
    await bus
      .consumer('billing', { concurrency: 4 })
      .on(
        Placed,
        async () => {
          slow += 1
          mostSlow = Math.max(mostSlow, slow)
          await new Promise<void>((resolve) => void clock.after(100_000, resolve))
          slow -= 1
        },
        { concurrency: 1 },
      )
      .on(Paid, ({ data }) => void quick.push(data.n))
      .start()
    await producer.sendBatch(Placed, numbers(200))
    await producer.sendBatch(Paid, numbers(20))
    await pass(clock, 5000, 100)
    expect(mostSlow).toBe(1)
    expect(quick.toSorted((one, other) => one - other)).toEqual(numbers(20).map(({ n }) => n))
  })

  test('by key has one at a time of each, and the keys take turns', async () => {
    const { bus, clock, producer } = await open()
    const running = new Map<string, number>()
    const done: string[] = []
    let most = 0
    await bus
      .consumer('billing', { concurrency: 10, prefetch: 100 })
      .on(
        Placed,
        async ({ data: { tenant = '' } }) => {
          const now = (running.get(tenant) ?? 0) + 1
          running.set(tenant, now)
          most = Math.max(most, now)
          await new Promise<void>((resolve) => void clock.after(100, resolve))
          running.set(tenant, now - 1)
          done.push(tenant)
        },
        {
          concurrency: {
            perKey: 1,
            total: 1,
            by: ({ data }) => data.tenant,
          },
        },
      )
      .start()
    await producer.sendBatch(Placed, numbers(20, 'flood'))
    await producer.sendBatch(Placed, numbers(3, 'small'))
    await pass(clock, 1000)
    expect(most).toBe(1)
    expect(done.slice(0, 7).filter((tenant) => tenant === 'small')).toHaveLength(3)
  })

  test('a key that cannot be told is a failed attempt', async () => {
    const { bus, clock, producer } = await open()
    const by = () => {
      throw new Error('no tenant')
    }
    await bus
      .consumer('billing')
      .on(Placed, () => {}, { concurrency: { perKey: 1, by } })
      .start()
    await producer.send(Placed, { n: 1 })
    await pass(clock, 200)
    expect((await letters(bus))[0]).toMatchObject({
      reason: 'attempts-exhausted',
      error: { message: 'no tenant' },
    })
  })
})

describe('a rate limit', () => {
  test('holds in any stretch of its time, and what waits takes no slot and counts no attempt', async () => {
    const { bus, clock, producer } = await open()
    const at: number[] = []
    const quick: number[] = []
    const attempts = new Set<number>()
    await bus
      .consumer('billing', { concurrency: 2 })
      .on(
        Placed,
        (_message, { attempt }) => {
          at.push(clock.monotonic())
          attempts.add(attempt)
        },
        { rateLimit: { max: 5, per: '1s' } },
      )
      .on(Paid, ({ data }) => void quick.push(data.n))
      .start()
    await producer.sendBatch(Placed, numbers(30))
    await producer.sendBatch(Paid, numbers(10))
    await pass(clock, 500)
    expect(quick).toHaveLength(10)
    await pass(clock, 120_000, 50)
    expect(at).toHaveLength(30)
    expect([...attempts]).toEqual([1])
    for (const [index, time] of at.entries()) {
      const fifthAfter = at[index + 5]
      if (fifthAfter !== undefined) expect(fifthAfter - time).toBeGreaterThanOrEqual(1000)
    }
    expect(await letters(bus)).toEqual([])
  })

  test('by key counts each apart', async () => {
    const { bus, clock, producer } = await open()
    const got: (string | undefined)[] = []
    await bus
      .consumer('billing')
      .on(Placed, ({ data }) => void got.push(data.tenant), {
        rateLimit: { max: 1, per: '1h', by: ({ data }) => data.tenant },
      })
      .start()
    await producer.sendBatch(Placed, numbers(5, 'a'))
    await producer.sendBatch(Placed, numbers(5, 'b'))
    await pass(clock, 1000)
    expect(got.toSorted()).toEqual(['a', 'b'])
  })

  test('whose store is away lets nothing through, shows it, and loses nothing', async () => {
    const { bus, clock, producer } = await open()
    let isAway = true
    let handled = 0
    const inner = memoryRateLimitStore({ clock })
    const store = {
      take: async (take: Parameters<typeof inner.take>[0]) => {
        if (isAway) throw new Error('no connection')
        return inner.take(take)
      },
    }
    await bus
      .consumer('billing')
      .on(
        Placed,
        () => {
          handled += 1
        },
        { rateLimit: { max: 100, per: '1s', store } },
      )
      .start()
    await producer.sendBatch(Placed, numbers(3))
    await pass(clock, 1000)
    expect(handled).toBe(0)
    const health = await bus.health()
    expect(health.status).toBe('degraded')
    expect(health.consumers[0]?.error?.message).toContain('no connection')
    isAway = false
    await pass(clock, 20_000, 100)
    expect(handled).toBe(3)
    expect((await bus.health()).status).toBe('up')
  })

  test.each([Number.NaN, -1, undefined, Number.POSITIVE_INFINITY])(
    'a store that answers %s blocks nothing for ever',
    async (odd) => {
      const { bus, clock, producer } = await open()
      let asked = 0
      const store = {
        take: () => {
          asked += 1
          return asked === 1 ? (odd as number) : 0
        },
      }
      let handled = 0
      await bus
        .consumer('billing')
        .on(
          Placed,
          () => {
            handled += 1
          },
          { rateLimit: { max: 1, per: '1s', store } },
        )
        .start()
      await producer.send(Placed, { n: 1 })
      await pass(clock, 60_000, 100)
      expect(handled).toBe(1)
    },
  )
})

describe('attacks', () => {
  test('what waits for the gate of another consumer goes back when that one pauses, and comes when it resumes', async () => {
    const { bus, clock, producer } = await open()
    const got: number[] = []
    await bus
      .consumer('billing')
      .on(Paid, () => {})
      .start()
    const taking = bus.consumer('billing').on(Placed, ({ data }) => void got.push(data.n), {
      rateLimit: { max: 2, per: '3s' },
    })
    await taking.start()
    await producer.sendBatch(Placed, numbers(6))
    await pass(clock, 1000)
    expect(got).toHaveLength(2)
    taking.pause()
    await pass(clock, 60_000, 100)
    expect(got).toHaveLength(2)
    taking.resume()
    await pass(clock, 120_000, 100)
    expect(got.toSorted()).toEqual([0, 1, 2, 3, 4, 5])
    expect(await letters(bus)).toEqual([])
  })

  test('on an ordered topic a gate keeps the order of each key, through failures and an open breaker', async () => {
    const clock = virtualClock()
    const ledger = defineTopic('ledger', { ordered: true, groups: ['billing'] })
    const Booked = defineMessage(ledger, 'booked', { schema, key: ({ tenant = '' }) => tenant })
    const bus = await connect({ url: 'memory:', console: false, clock })
    buses.push(bus)
    const got: string[] = []
    let failures = 3
    await bus
      .consumer('billing', { retry: { attempts: 2, backoff: fixed(10) } })
      .on(
        Booked,
        ({ data: { n, tenant } }) => {
          if (failures-- > 0) throw new Error('down')
          got.push(`${tenant}${n}`)
        },
        {
          concurrency: { total: 2, perKey: 1 },
          rateLimit: { max: 3, per: '1s' },
          circuitBreaker: { minimumCalls: 2, openFor: '10s' },
        },
      )
      .start()
    const producer = bus.producer()
    for (const { n } of numbers(5)) {
      await producer.send(Booked, { n, tenant: 'a' })
      await producer.send(Booked, { n, tenant: 'b' })
    }
    await pass(clock, 120_000, 100)
    expect(got.filter((each) => each.startsWith('a'))).toEqual(['a0', 'a1', 'a2', 'a3', 'a4'])
    expect(got.filter((each) => each.startsWith('b'))).toEqual(['b0', 'b1', 'b2', 'b3', 'b4'])
  })

  test('a consumer stops while a probe hangs and the rest waits', async () => {
    const { bus, clock, producer } = await open()
    let calls = 0
    const consumer = bus.consumer('billing', { concurrency: 1 }).on(
      Placed,
      () => {
        calls += 1
        if (calls <= 2) throw new Error('down')
        return new Promise(() => {})
      },
      { circuitBreaker: { minimumCalls: 2, openFor: '1s' } },
    )
    await consumer.start()
    await producer.sendBatch(Placed, numbers(8))
    await pass(clock, 1800)
    const stopping = consumer.stop({ timeout: '1s' })
    await pass(clock, 2000)
    const { abandoned } = await stopping
    expect(abandoned).toHaveLength(1)
  })

  test('a flood of one key postpones its own messages, not those of others', async () => {
    const { bus, clock, producer } = await open()
    const got: string[] = []
    const by = ({ data }: { data: { tenant?: string } }) => data.tenant
    await bus
      .consumer('billing', { concurrency: 4, prefetch: 20 })
      .on(
        Placed,
        ({ data: { tenant = '' } }) => {
          got.push(tenant)
          return tenant === 'flood' ? new Promise(() => {}) : undefined
        },
        { concurrency: { perKey: 1, by: by as never } },
      )
      .start()
    await producer.sendBatch(Placed, numbers(100, 'flood'))
    await producer.sendBatch(Placed, numbers(3, 'small'))
    await pass(clock, 10_000, 100)
    expect(got.filter((tenant) => tenant === 'small')).toHaveLength(3)
    expect(got.filter((tenant) => tenant === 'flood')).toHaveLength(1)
  })

  test('a store that never answers lets its consumer stop', async () => {
    const { bus, clock, producer } = await open()
    const store = { take: () => new Promise<number>(() => {}) }
    const consumer = bus.consumer('billing').on(Placed, () => {}, { rateLimit: { max: 1, per: '1s', store } })
    await consumer.start()
    await producer.sendBatch(Placed, numbers(5))
    await pass(clock, 15_000, 100)
    expect((await bus.health()).status).toBe('degraded')
    expect((await consumer.stop({ timeout: '1s' })).released).toBe(5)
  })

  test('a message that is postponed many times becomes no dead letter', async () => {
    const { bus, clock, producer } = await open()
    const attempts: number[] = []
    const store = { take: () => (clock.monotonic() < 600_000 ? 6000 : 0) }
    await bus
      .consumer('billing', { maxDeliveries: 3 })
      .on(Placed, (_message, { attempt }) => void attempts.push(attempt), {
        rateLimit: { max: 1, per: '6s', store },
      })
      .on(Paid, () => {})
      .start()
    await producer.send(Placed, { n: 1 })
    await pass(clock, 700_000, 500)
    expect(attempts).toEqual([1])
    expect(await letters(bus)).toEqual([])
  })

  test('a key that cannot be told opens no breaker', async () => {
    const { bus, clock, producer } = await open()
    const states: string[] = []
    bus.on('breaker', ({ state }) => void states.push(state))
    const by = () => {
      throw new Error('no tenant')
    }
    await bus
      .consumer('billing')
      .on(Placed, () => {}, { concurrency: { perKey: 1, by }, circuitBreaker: { minimumCalls: 1 } })
      .start()
    await producer.sendBatch(Placed, numbers(5))
    await pass(clock, 1000)
    expect(states).toEqual([])
    expect(await letters(bus)).toHaveLength(5)
  })

  test('a breaker of a batch handler keeps its messages out of the dead letters', async () => {
    const { bus, clock, producer } = await open()
    let isDown = true
    const handled = new Set<number>()
    await bus
      .consumer('billing')
      .onBatch(
        Placed,
        {
          size: 5,
          wait: 100,
          retry: { attempts: 2, backoff: fixed(10) },
          circuitBreaker: { minimumCalls: 5, openFor: '1s' },
        },
        (messages) => {
          if (isDown) throw new Error('down')
          for (const { data } of messages) handled.add(data.n)
        },
      )
      .start()
    await producer.sendBatch(Placed, numbers(20))
    await pass(clock, 20_000, 50)
    isDown = false
    await pass(clock, 60_000, 50)
    expect(await letters(bus)).toEqual([])
    expect(handled.size).toBe(20)
  })

  test('100,000 that wait for one place get it one after the other, and those that gave up are forgotten', () => {
    const slots = new KeySlots({ total: 1, perKey: 1 })
    let granted = 0
    expect(slots.tryAcquire('k')).toBe(true)
    const giveUps = Array.from({ length: 100_000 }, () => slots.wait('k', () => void granted++))
    for (const [index, giveUp] of giveUps.entries()) if (index % 2 === 0) giveUp()
    for (let turn = 0; turn < 50_000; turn += 1) slots.release('k')
    expect(granted).toBe(50_000)
    slots.release('k')
    expect(slots.tryAcquire('k')).toBe(true)
  })
})

describe('a circuit breaker', () => {
  async function openBreaker(isFailure?: (error: unknown) => boolean) {
    const { bus, clock, producer } = await open()
    let isDown = true
    let calls = 0
    const states: string[] = []
    bus.on('breaker', ({ state }) => void states.push(state))
    await bus
      .consumer('billing', { concurrency: 5 })
      .on(
        Placed,
        () => {
          calls += 1
          if (isDown) throw new Error('the shop is down')
        },
        {
          retry: { attempts: 2, backoff: fixed(10) },
          circuitBreaker: {
            minimumCalls: 4,
            window: '10s',
            openFor: '1m',
            ...(isFailure !== undefined && { isFailure }),
          },
        },
      )
      .on(Paid, () => {})
      .start()
    const up = () => {
      isDown = false
    }
    return { bus, clock, producer, states, up, calls: () => calls }
  }

  test('keeps messages out of the dead letters while a dependency is down, and lets them through after', async () => {
    const { bus, clock, producer, states, up, calls } = await openBreaker()
    await producer.sendBatch(Placed, numbers(40))
    await pass(clock, 180_000, 250)
    expect(states.slice(0, 3)).toEqual(['open', 'half-open', 'open'])
    expect(calls()).toBeLessThan(20)
    expect(await letters(bus)).toEqual([])
    const health = await bus.health()
    expect(health.status).toBe('degraded')
    expect(health.consumers[0]?.breakers).toEqual([
      { types: 'order.placed', state: expect.stringMatching(/open/) },
    ])
    up()
    const before = calls()
    await pass(clock, 300_000, 250)
    expect(states.at(-1)).toBe('closed')
    expect(calls() - before).toBe(40)
    expect(await letters(bus)).toEqual([])
    expect((await bus.health()).status).toBe('up')
  })

  test('is not opened by what says nothing about the dependency', async () => {
    const { bus, clock, producer, states } = await openBreaker(() => false)
    await producer.sendBatch(Placed, numbers(10))
    await pass(clock, 1000)
    expect(states).toEqual([])
    expect(await letters(bus)).toHaveLength(10)
  })

  test('counts no PermanentError', async () => {
    const { bus, clock, producer } = await open()
    const states: string[] = []
    bus.on('breaker', ({ state }) => void states.push(state))
    await bus
      .consumer('billing')
      .on(
        Placed,
        () => {
          throw new PermanentError('never')
        },
        { circuitBreaker: { minimumCalls: 2 } },
      )
      .start()
    await producer.sendBatch(Placed, numbers(10))
    await pass(clock, 1000)
    expect(states).toEqual([])
    expect(await letters(bus)).toHaveLength(10)
  })

  test('tries again when its probe hangs', async () => {
    const { bus, clock, producer } = await open()
    let calls = 0
    await bus
      .consumer('billing', { concurrency: 3 })
      .on(
        Placed,
        () => {
          calls += 1
          if (calls <= 2) throw new Error('down')
          return calls === 3 ? new Promise(() => {}) : undefined
        },
        { circuitBreaker: { minimumCalls: 2, openFor: '1s', window: '10s' } },
      )
      .start()
    await producer.sendBatch(Placed, numbers(6))
    await pass(clock, 60_000, 100)
    expect(calls).toBeGreaterThanOrEqual(8)
  })
})

test('what waits at a gate goes back when the consumer stops', async () => {
  const { bus, clock, producer } = await open()
  const consumer = bus
    .consumer('billing', { prefetch: 50 })
    .on(Placed, () => new Promise<void>((resolve) => void clock.after(50, resolve)), {
      concurrency: 1,
      rateLimit: { max: 1, per: '1s' },
      circuitBreaker: {},
    })
  await consumer.start()
  await producer.sendBatch(Placed, numbers(30))
  await pass(clock, 200)
  const { released, abandoned } = await consumer.stop({ timeout: '1s' })
  expect(released).toBe(29)
  expect(abandoned).toEqual([])
  expect(await bus.group(orders, 'billing').stats()).toMatchObject({ waiting: 29 })
})

test('wrong policies are refused, each with its path', async () => {
  const { bus } = await open()
  const wrong = {
    concurrency: { by: () => 'x' },
    rateLimit: { max: 0, per: 'often', store: {} },
    circuitBreaker: { failureRate: 2, probes: 0, halfOpenFor: 1 },
    retry: { tries: 1 },
  } as never
  try {
    bus.consumer('billing').on(Placed, () => {}, wrong)
    expect.fail('it was accepted')
  } catch (error) {
    const paths = (error as ConfigurationError).issues.map(({ path }) => path)
    expect(paths).toEqual(
      expect.arrayContaining([
        'retry',
        'rateLimit.max',
        'rateLimit.per',
        'rateLimit.store',
        'circuitBreaker.failureRate',
        'circuitBreaker.probes',
        'circuitBreaker',
      ]),
    )
    expect(paths.some((path) => path.startsWith('concurrency'))).toBe(true)
  }
})
