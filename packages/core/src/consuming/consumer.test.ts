import { AsyncLocalStorage } from 'node:async_hooks'
import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { DeadLetter } from '../dead-letters/dead-letter.ts'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import { stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import { memoryIdempotencyStore } from '../idempotency/idempotency.ts'
import { ConfigurationError, MessagingError, PermanentError, SkipMessage } from '../lib/errors.ts'
import { exponential, fixed } from '../lib/retry.ts'
import { RetryAfter } from '../lib/retry-after.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus, type TestBus } from '../testing.ts'
import type { ConsumerOptions } from './consumer-options.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const ledger = defineTopic('ledger', { ordered: true, groups: ['billing'] })
const schema = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema })
const OrderPaid = defineMessage(orders, 'order.paid', { schema })
const Booked = defineMessage(ledger, 'booked', { schema, key: ({ n }) => `k-${n}` })

const setUp = () => createTestBus({ topics: [orders, ledger] })

const events = (test: TestBus) => {
  const heard: [string, Record<string, unknown>][] = []
  const names = ['retried', 'deadLettered', 'unhandled', 'expired', 'duplicate', 'dropped', 'lost'] as const
  for (const name of names) test.bus.on(name, (event) => heard.push([name, { ...event }]))
  return heard
}

/** A consumer of `order.created` whose handler does as it is told, and a record of its calls. */
async function consuming(
  bus: TestBus,
  handle: (message: Message<{ n: number }>, context: HandlerContext) => unknown,
  options: ConsumerOptions = {},
) {
  const calls: { readonly n: number; readonly attempt: number; readonly at: number }[] = []
  const consumer = bus.bus.consumer('billing', options).on(OrderCreated, (message, context) => {
    calls.push({ n: message.data.n, attempt: context.attempt, at: bus.clock.now() })
    return handle(message, context)
  })
  await consumer.start()
  return { consumer, calls, producer: bus.bus.producer() }
}

async function deadOf({ bus }: TestBus): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of bus.group(orders, 'billing').deadLetters.list()) letters.push(letter)
  return letters
}

describe('a failing handler', () => {
  test('gets exactly as many attempts as the policy says, after the waits of its backoff', async () => {
    await using bus = await setUp()
    const startedAt = bus.clock.now()
    const { calls, producer } = await consuming(bus, () => Promise.reject(new Error('no')), {
      retry: { attempts: 4, backoff: exponential({ initial: '1m', max: '3m', jitter: 0 }) },
    })
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('1h')
    expect(calls.map(({ attempt, at }) => [attempt, (at - startedAt) / 60_000])).toEqual([
      [1, 0],
      [2, 1],
      [3, 3],
      [4, 6],
    ])
    expect(await deadOf(bus)).toMatchObject([{ reason: 'attempts-exhausted', attempts: 4 }])
  })

  test('does not hold up other messages', async () => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(
      bus,
      ({ data }) => {
        if (data.n === 1) throw new Error('no')
      },
      { concurrency: 1, retry: { backoff: fixed('1h') } },
    )
    await producer.send(OrderCreated, { n: 1 })
    await producer.send(OrderCreated, { n: 2 })
    await bus.idle()
    expect(calls.map(({ n }) => n)).toEqual([1, 2])
  })

  test.each([
    [
      'at once',
      () => {
        throw new Error('no')
      },
    ],
    ['by rejecting', () => Promise.reject(new Error('no'))],
    ['with text', () => Promise.reject('no')],
    ['with nothing', () => Promise.reject(undefined)],
    [
      'with null',
      () => {
        throw null
      },
    ],
    [
      'with an object without a prototype',
      () => {
        throw Object.create(null)
      },
    ],
  ])('is retried when it fails %s, and leaves a record of it', async (_how, handle) => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(bus, handle, { retry: { attempts: 2, backoff: fixed(0) } })
    await producer.send(OrderCreated, { n: 1 })
    await bus.idle()
    await bus.advance('1s')
    expect(calls).toHaveLength(2)
    expect(await deadOf(bus)).toMatchObject([{ error: { name: 'Error', message: expect.any(String) } }])
  })

  test('that says it is permanent is not retried', async () => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(bus, () => Promise.reject(new PermanentError('card stolen')))
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('1h')
    expect(calls).toHaveLength(1)
    expect(await deadOf(bus)).toMatchObject([
      { reason: 'permanent', attempts: 1, error: { name: 'PermanentError', message: 'card stolen' } },
    ])
  })

  test('that says when to come back is heard', async () => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(
      bus,
      (_message, { attempt }) => {
        if (attempt === 1) throw new RetryAfter('42m')
      },
      { retry: { backoff: fixed('1s') } },
    )
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('41m')
    expect(calls).toHaveLength(1)
    await bus.advance('1m')
    expect(calls).toHaveLength(2)
  })

  test('that isRetryable gives up is not retried', async () => {
    await using bus = await setUp()
    const { producer } = await consuming(bus, () => Promise.reject(new TypeError('no')), {
      retry: { isRetryable: (error) => !(error instanceof TypeError) },
    })
    await producer.send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(await deadOf(bus)).toMatchObject([{ reason: 'not-retryable', error: { name: 'TypeError' } }])
  })

  test('is told of by events with what is known of the delivery', async () => {
    await using bus = await setUp()
    const heard = events(bus)
    const { producer } = await consuming(bus, () => Promise.reject(new Error('no')), {
      retry: { attempts: 2, backoff: fixed('1m') },
    })
    await producer.send(OrderCreated, { n: 1 }, { id: 'o-1' })
    await bus.advance('1m')
    const info = { topic: 'orders', group: 'billing', message: { id: 'o-1' }, error: { message: 'no' } }
    expect(heard).toMatchObject([
      ['retried', { ...info, attempt: 1, delayMs: 60_000 }],
      ['deadLettered', { ...info, attempt: 2, reason: 'attempts-exhausted' }],
    ])
  })
})

describe('a message that cannot be handled', () => {
  const raw = (bus: TestBus) => {
    const { publishRaw } = bus.bus.native('memory')
    return (text: string, contentType?: string) =>
      publishRaw('orders', {
        body: new TextEncoder().encode(text),
        ...(contentType !== undefined && { contentType }),
      })
  }
  const event = (data: unknown, dataversion = 1) =>
    JSON.stringify({ specversion: '1.0', id: 'i', source: 's', type: 'order.created', dataversion, data })

  test.each([
    ['undecodable', 'no event at all', /JSON/],
    ['invalid-data', event({ n: 'one' }), /^n: /],
    ['unknown-version', event({ n: 1 }, 7), /version 7 of order\.created to version 1/],
  ])(
    'as %s goes to the dead letters at once, the handler untouched, the next goes on',
    async (reason, body, why) => {
      await using bus = await setUp()
      const { calls, producer } = await consuming(bus, () => {})
      raw(bus)(body)
      await producer.send(OrderCreated, { n: 2 })
      await bus.idle()
      expect(calls.map(({ n }) => n)).toEqual([2])
      const [letter, ...more] = await deadOf(bus)
      expect(more).toEqual([])
      expect(letter).toMatchObject({ reason, attempts: 1, error: { message: expect.stringMatching(why) } })
      expect(new TextDecoder().decode(letter?.body)).toBe(body)
    },
  )

  test('because an upcast throws is invalid', async () => {
    await using bus = await setUp()
    const V2 = defineMessage(orders, 'order.created', {
      schema,
      version: 2,
      upcast: { 1: () => JSON.parse('{') },
    })
    await bus.bus
      .consumer('billing')
      .on(V2, () => {})
      .start()
    raw(bus)(event({ n: 1 }))
    await bus.idle()
    expect(await deadOf(bus)).toMatchObject([{ reason: 'invalid-data', error: { name: 'SyntaxError' } }])
  })

  test('because nobody in the group handles its type is acked and told of', async () => {
    await using bus = await setUp()
    const heard = events(bus)
    const { calls, producer } = await consuming(bus, () => {})
    await producer.send(OrderPaid, { n: 1 })
    await bus.idle()
    expect(calls).toEqual([])
    expect(heard).toMatchObject([['unhandled', { message: { type: 'order.paid' } }]])
    expect(await bus.bus.group(orders, 'billing').stats()).toMatchObject({ waiting: 0, inFlight: 0, dead: 0 })
  })

  test('because it has expired is dropped and told of', async () => {
    await using bus = await setUp()
    const heard = events(bus)
    const producer = bus.bus.producer()
    await producer.send(OrderCreated, { n: 1 }, { expiresIn: '1m' })
    await producer.send(OrderCreated, { n: 2 }, { expiresIn: '1h' })
    await bus.advance('1m')
    const { calls } = await consuming(bus, () => {})
    await bus.idle()
    expect(calls.map(({ n }) => n)).toEqual([2])
    expect(heard).toMatchObject([['expired', { message: { data: { n: 1 } } }]])
  })

  test('any more because it expired between two attempts is dropped too', async () => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(bus, () => Promise.reject(new Error('no')), {
      retry: { backoff: fixed('2m') },
    })
    await producer.send(OrderCreated, { n: 1 }, { expiresIn: '1m' })
    await bus.advance('1h')
    expect(calls).toHaveLength(1)
    expect(await deadOf(bus)).toEqual([])
  })
})

test('data is upcast and parsed before the handler sees it', async () => {
  await using bus = await setUp()
  await bus.bus.producer().send(OrderCreated, { n: 1 })
  const V2 = defineMessage(orders, 'order.created', {
    version: 2,
    schema: z.object({ n: z.number(), currency: z.string().toUpperCase() }),
    upcast: { 1: (old) => ({ ...old, currency: 'eur' }) },
  })
  const seen: Message[] = []
  await bus.bus
    .consumer('billing')
    .on(V2, (message) => seen.push(message))
    .start()
  await bus.idle()
  expect(seen).toMatchObject([{ version: 2, data: { n: 1, currency: 'EUR' } }])
})

describe('which handler a message goes to', () => {
  test('is one: that of its type, else that of the first pattern that matches', async () => {
    await using bus = await setUp()
    const seen: string[] = []
    await bus.bus
      .consumer('billing')
      .on('order.*', ({ type }) => seen.push(`order.* ${type}`))
      .on('#', ({ type }) => seen.push(`# ${type}`))
      .on(OrderPaid, ({ type }) => seen.push(`exact ${type}`))
      .start()
    const producer = bus.bus.producer()
    await producer.send(OrderPaid, { n: 1 })
    await producer.send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(seen.sort()).toEqual(['exact order.paid', 'order.* order.created'])
  })

  test('by a pattern gets data as it travelled', async () => {
    await using bus = await setUp()
    const seen: unknown[] = []
    await bus.bus
      .consumer('billing')
      .on(orders, 'order.#', ({ data, version }) => seen.push([data, version]))
      .start()
    const Loose = defineMessage(orders, 'order.x', { version: 3, schema: z.looseObject({}) })
    await bus.bus.producer().send(Loose, { any: 'thing' })
    await bus.idle()
    expect(seen).toEqual([[{ any: 'thing' }, 3]])
  })

  test('is looked for on the topics it was registered for only', async () => {
    await using bus = await setUp()
    const seen: string[] = []
    await bus.bus
      .consumer('billing')
      .on(Booked, () => seen.push('booked'))
      .on(orders, '#', () => seen.push('orders #'))
      .on('*', () => seen.push('any *'))
      .start()
    const producer = bus.bus.producer()
    const Other = defineMessage(ledger, 'other', { schema, key: () => 'k' })
    await producer.send(Booked, { n: 1 })
    await producer.send(Other, { n: 1 })
    await producer.send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(seen.sort()).toEqual(['any *', 'booked', 'orders #'])
  })

  test('needs a handler that names a topic, or start refuses', async () => {
    await using bus = await setUp()
    await expect(bus.bus.consumer('billing').start()).rejects.toThrow(/there is no handler; call on/)
    const patternsOnly = bus.bus.consumer('billing').on('#', () => {})
    await expect(patternsOnly.start()).rejects.toThrow(/no handler names a topic; use on\(topic, pattern/)
  })

  test('may not be asked twice for one type of one topic, but for the same type of two', async () => {
    await using bus = await setUp()
    const consumer = bus.bus.consumer('billing').on(OrderCreated, () => {})
    expect(() => consumer.on(OrderCreated, () => {})).toThrow(
      /"order\.created" of topic "orders" already has a handler/,
    )
    const Twin = defineMessage(ledger, 'order.created', { schema, key: () => 'k' })
    consumer.on(Twin, () => {})
  })

  test('cannot change once it has started', async () => {
    await using bus = await setUp()
    const { consumer } = await consuming(bus, () => {})
    for (const change of [() => consumer.on('#', () => {}), () => consumer.use(async () => {})]) {
      expect(change).toThrow(/consumer "billing" is already started/)
    }
    await expect(consumer.start()).rejects.toMatchObject({ code: 'closed' })
  })

  test('must be a function, registered for something', async () => {
    await using bus = await setUp()
    const consumer = bus.bus.consumer('billing')
    const nothing: unknown = undefined
    // @ts-expect-error: what a caller without types can do
    expect(() => consumer.on(OrderCreated, nothing)).toThrow(/handler: expected a function/)
    // @ts-expect-error: what a caller without types can do
    expect(() => consumer.on('order .', nothing)).toThrow(/pattern: .*\n.*handler: expected a function/)
    // @ts-expect-error: what a caller without types can do
    expect(() => consumer.onBatch(OrderCreated, {}, nothing)).toThrow(/handler: expected a function/)
    // @ts-expect-error: what a caller without types can do
    expect(() => consumer.on(orders, () => {})).toThrow(/expected on\(topic, pattern, handler\)/)
    // @ts-expect-error: what an import cycle does
    expect(() => consumer.on(nothing, () => {})).toThrow(/expected a message definition/)
  })
})

describe('middleware', () => {
  test('wraps the handler, the bus’s outside of the consumer’s, and sees what it threw', async () => {
    await using bus = await setUp()
    const log: string[] = []
    const note =
      (name: string) =>
      async ({ message, attempt }: HandlerContext, next: () => Promise<void>) => {
        log.push(`${name} ${message.type} ${attempt}`)
        await next().catch((error: unknown) => {
          log.push(`${name} saw ${String(error)}`)
          throw error
        })
      }
    bus.bus.use({ handle: note('bus') })
    const consumer = bus.bus
      .consumer('billing', { retry: { attempts: 1 } })
      .use(note('first'))
      .use(note('second'))
      .on(OrderCreated, () => Promise.reject(new Error('no')))
    await consumer.start()
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(log).toEqual([
      'bus order.created 1',
      'first order.created 1',
      'second order.created 1',
      'second saw Error: no',
      'first saw Error: no',
      'bus saw Error: no',
    ])
  })

  test('that throws fails the attempt like a handler', async () => {
    await using bus = await setUp()
    const handle = vi.fn()
    await bus.bus
      .consumer('billing', { retry: { attempts: 1 } })
      .use(() => Promise.reject(new Error('not allowed')))
      .on(OrderCreated, handle)
      .start()
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(handle).not.toHaveBeenCalled()
    expect(await deadOf(bus)).toMatchObject([{ error: { message: 'not allowed' } }])
  })
})

describe('batches', () => {
  async function batching(
    bus: TestBus,
    handle: (numbers: readonly number[], fail: (n: number, error?: unknown) => void) => unknown,
    options: ConsumerOptions & { readonly size?: number } = {},
  ) {
    const { size = 3, ...rest } = options
    const batches: number[][] = []
    const consumer = bus.bus
      .consumer('billing', rest)
      .onBatch(OrderCreated, { size, wait: '10s' }, (messages, context) => {
        batches.push(messages.map(({ data }) => data.n))
        return handle(
          messages.map(({ data }) => data.n),
          (n, error = new Error('no')) => {
            const message = messages.find(({ data }) => data.n === n)
            if (message !== undefined) context.fail(message, error)
          },
        )
      })
    await consumer.start()
    const send = (...numbers: number[]) =>
      bus.bus.producer().sendBatch(
        OrderCreated,
        numbers.map((n) => ({ n })),
      )
    return { batches, consumer, send }
  }

  test('are handled when they are full, or when their first has waited long enough', async () => {
    await using bus = await setUp()
    const { batches, send } = await batching(bus, () => {})
    await send(1, 2, 3, 4)
    await bus.idle()
    expect(batches).toEqual([[1, 2, 3]])
    await bus.advance('5s')
    await send(5)
    await bus.advance('4999ms')
    expect(batches).toHaveLength(1)
    await bus.advance(1)
    expect(batches).toEqual([
      [1, 2, 3],
      [4, 5],
    ])
    expect(bus.handled).toHaveLength(5)
  })

  test('wait anew after a full one', async () => {
    await using bus = await setUp()
    const { batches, send } = await batching(bus, () => {})
    await send(1)
    await bus.advance('9s')
    await send(2, 3)
    await bus.idle()
    await send(4)
    await bus.advance('9s')
    expect(batches).toEqual([[1, 2, 3]])
    await bus.advance('1s')
    expect(batches).toEqual([[1, 2, 3], [4]])
  })

  test('run as many at once as the concurrency says', async () => {
    await using bus = await setUp()
    const ends: (() => void)[] = []
    const { batches, send } = await batching(bus, () => new Promise<void>((resolve) => ends.push(resolve)), {
      concurrency: 1,
      size: 2,
    })
    await send(1, 2, 3, 4)
    await settle()
    expect(batches).toEqual([[1, 2]])
    ends[0]?.()
    await settle()
    expect(batches).toEqual([
      [1, 2],
      [3, 4],
    ])
    ends[1]?.()
  })

  test('that throw are retried as a whole', async () => {
    await using bus = await setUp()
    let failures = 1
    const { batches, send } = await batching(
      bus,
      () => {
        failures -= 1
        if (failures >= 0) throw new Error('no')
      },
      { retry: { backoff: fixed('1m') } },
    )
    await send(1, 2, 3)
    await bus.advance('2m')
    expect(batches).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ])
  })

  test('that fail in part have only the failed retried, each by its own error', async () => {
    await using bus = await setUp()
    const { batches, send } = await batching(
      bus,
      (numbers, fail) => {
        if (numbers.length < 3) return
        fail(1)
        fail(2, new PermanentError('hopeless'))
      },
      { retry: { backoff: fixed('1m') } },
    )
    await send(1, 2, 3)
    await bus.advance('2m')
    expect(batches).toEqual([[1, 2, 3], [1]])
    expect(await deadOf(bus)).toMatchObject([{ reason: 'permanent', message: { data: { n: 2 } } }])
    expect(bus.handled.map(({ message }) => message?.data)).toEqual([{ n: 3 }, { n: 1 }])
  })

  test('cannot lose a message that a handler fails by a copy of it', async () => {
    await using bus = await setUp()
    await bus.bus
      .consumer('billing', { retry: { attempts: 1 } })
      .onBatch(OrderCreated, { size: 1 }, (messages, context) => {
        for (const message of messages) context.fail({ ...message }, new Error('no'))
      })
      .start()
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(await deadOf(bus)).toMatchObject([
      { error: { message: expect.stringMatching(/not of this batch; pass one of the messages/) } },
    ])
  })

  test('leave marks for what succeeded and none for what failed', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    const { batches, send } = await batching(
      bus,
      (numbers, fail) => {
        if (numbers.length === 3) fail(1)
      },
      { idempotency: store, retry: { backoff: fixed('1m') } },
    )
    const [first, second] = await send(1, 2, 3)
    await bus.advance('2m')
    expect(batches).toEqual([[1, 2, 3], [1]])
    const producer = bus.bus.producer()
    await producer.send(OrderCreated, { n: 1 }, { id: first?.id ?? '' })
    await producer.send(OrderCreated, { n: 2 }, { id: second?.id ?? '' })
    await bus.advance('2m')
    expect(batches).toHaveLength(2)
  })

  test.each(['pause', 'stop'] as const)(
    'give back on %s what still gathers, and leave no mark of it',
    async (call) => {
      await using bus = await setUp()
      const store = memoryIdempotencyStore({ clock: bus.clock })
      const { batches, consumer, send } = await batching(bus, () => {}, { idempotency: store })
      await send(1, 2)
      await bus.idle()
      await consumer[call]()
      await settle()
      const peer = await consuming(bus, () => {}, { idempotency: store })
      await bus.idle()
      expect(peer.calls.map(({ n }) => n).sort()).toEqual([1, 2])
      expect(batches).toEqual([])
    },
  )

  test('hold one message of a key at most on ordered topics', async () => {
    await using bus = await setUp()
    const batches: number[][] = []
    const Line = defineMessage(ledger, 'line', {
      schema: z.object({ n: z.number(), key: z.string() }),
      key: ({ key }) => key,
    })
    await bus.bus
      .consumer('billing')
      .onBatch(Line, { size: 10, wait: '1s' }, (messages) => {
        batches.push(messages.map(({ data }) => data.n))
      })
      .start()
    await bus.bus.producer().sendBatch(Line, [
      { n: 1, key: 'a' },
      { n: 2, key: 'a' },
      { n: 3, key: 'b' },
    ])
    await bus.advance('5s')
    expect(batches).toEqual([[1, 3], [2]])
  })

  test('tell their handler when one of theirs is lost or the consumer stops waiting', async () => {
    await using bus = await setUp()
    let aborted = false
    const consumer = bus.bus
      .consumer('billing')
      .onBatch(OrderCreated, { size: 1 }, (_messages, { signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true
        })
        return new Promise(() => {})
      })
    await consumer.start()
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    await settle()
    expect(await consumer.stop({ timeout: 0 })).toMatchObject({ abandoned: [expect.any(String)] })
    expect(aborted).toBe(true)
  })

  test('are refused with every wrong option', async () => {
    await using bus = await setUp()
    const make = () => bus.bus.consumer('billing').onBatch(OrderCreated, { size: 0, wait: -1 }, () => {})
    expect(make).toThrow(/size: .*\n.*wait: /)
  })
})

describe('middleware', () => {
  const failing = () => Promise.reject(new Error('no'))

  test.each<[string, HandlerMiddleware]>([
    [
      'forgets to await next()',
      async (_context, next) => {
        void next()
      },
    ],
    [
      'lets something else win over next()',
      async (_context, next) => {
        await Promise.race([next(), Promise.resolve()])
      },
    ],
  ])('that %s acks nothing before the handler is through, and no failure', async (_how, middleware) => {
    await using bus = await setUp()
    const heard = events(bus)
    let end = (_error: Error) => {}
    bus.bus.use({ handle: middleware })
    const { producer } = await consuming(bus, () => new Promise((_, reject) => (end = reject)))
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('1s')
    expect(await bus.bus.group(orders, 'billing').stats()).toMatchObject({ inFlight: 1 })
    end(new Error('no'))
    await bus.advance('1ms')
    expect(heard).toMatchObject([['retried', { error: { message: 'no' } }]])
  })

  test('that never calls next() fails the attempt and says what to do', async () => {
    await using bus = await setUp()
    bus.bus.use({ handle: async () => {} })
    const { calls, producer } = await consuming(bus, () => {}, { retry: { attempts: 1 } })
    await producer.send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(calls).toEqual([])
    expect(await deadOf(bus)).toMatchObject([{ error: { message: expect.stringMatching(/SkipMessage/) } }])
  })

  test('that throws SkipMessage acks the message, tells of it, and leaves no mark', async () => {
    await using bus = await setUp()
    const skipped: unknown[] = []
    bus.bus.on('skipped', (event) => skipped.push(event))
    let isOurs = false
    bus.bus.use({
      handle: async (_context, next) => {
        if (!isOurs) throw new SkipMessage('not ours')
        await next()
      },
    })
    const { calls, producer } = await consuming(bus, () => {}, {
      idempotency: memoryIdempotencyStore({ clock: bus.clock }),
    })
    await producer.send(OrderCreated, { n: 1 }, { id: 'same' })
    await bus.idle()
    expect(skipped).toMatchObject([{ reason: 'not ours', message: { id: 'same' } }])
    expect(calls).toEqual([])
    isOurs = true
    await producer.send(OrderCreated, { n: 1 }, { id: 'same' })
    await bus.idle()
    expect(calls).toHaveLength(1)
  })

  test('may still handle the failure of the handler itself', async () => {
    await using bus = await setUp()
    bus.bus.use({ handle: async (_context, next) => next().catch(() => {}) })
    const { producer } = await consuming(bus, failing)
    await producer.send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(bus.handled).toHaveLength(1)
  })
})

describe('a handler that throws something hostile', () => {
  const throwing = (): never => {
    throw new Error('do not look')
  }
  test.each<[string, () => unknown]>([
    [
      'an error whose message cannot be read',
      () => Object.defineProperty(new Error('x'), 'message', { get: throwing }),
    ],
    [
      'an error whose stack cannot be read',
      () => Object.defineProperty(new Error('x'), 'stack', { get: throwing }),
    ],
    ['an error whose name is no text', () => Object.assign(new Error('x'), { name: { toString: throwing } })],
    ['a frozen object', () => Object.freeze({ code: 1 })],
    [
      'an object without a way to text',
      () => ({ toString: throwing, toJSON: throwing, [inspect.custom]: throwing }),
    ],
    ['a function without a way to text', () => Object.assign(() => {}, { toString: throwing })],
    [
      'a proxy that refuses everything',
      () => new Proxy(new Error('x'), { get: throwing, has: throwing, getPrototypeOf: throwing }),
    ],
    ['a proxy that has everything', () => new Proxy({}, { has: () => true, get: throwing })],
    [
      'an error of ours whose code cannot be read',
      () => Object.defineProperty(new PermanentError('x'), 'code', { get: throwing }),
    ],
    [
      'an error that can be read only once',
      () => {
        let reads = 0
        const get = () => (reads++ > 0 ? throwing() : 'once')
        return Object.defineProperty(new Error('x'), 'message', { get })
      },
    ],
    ['an error whose message is a symbol', () => Object.assign(new Error('x'), { message: Symbol('m') })],
    ['a symbol', () => Symbol('no')],
  ])('%s, loses neither the message nor the slot', async (_what, make) => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(
      bus,
      ({ data }) => {
        if (data.n === 1) throw make()
      },
      { concurrency: 1, retry: { attempts: 2, backoff: fixed('1s') } },
    )
    await producer.send(OrderCreated, { n: 1 })
    await producer.send(OrderCreated, { n: 2 })
    await bus.advance('2s')
    expect(calls.map(({ n, attempt }) => [n, attempt])).toEqual([
      [1, 1],
      [2, 1],
      [1, 2],
    ])
    expect(await deadOf(bus)).toMatchObject([{ reason: 'attempts-exhausted' }])
  })

  test('is retried by the default policy when the policy answers with a promise', async () => {
    await using bus = await setUp()
    const failures: unknown[] = []
    bus.bus.on('failure', ({ what }) => failures.push(what))
    const isRetryable: (error: unknown) => boolean = Object.assign(async () => throwing())
    const { calls, producer } = await consuming(bus, () => Promise.reject(new Error('no')), {
      retry: { attempts: 2, isRetryable },
    })
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('5s')
    expect(calls).toHaveLength(2)
    expect(failures).toContain('retry policy')
  })
})

test('what a handler does to its message reaches neither a retry nor a dead letter nor another group', async () => {
  await using test = await createTestBus({ topics: [defineTopic('files', { groups: ['one', 'two'] })] })
  const files = defineTopic('files', { groups: ['one', 'two'] })
  const { publishRaw } = test.bus.native('memory')
  const seen: unknown[] = []
  for (const group of ['one', 'two']) {
    await test.bus
      .consumer(group, { retry: { attempts: 2, backoff: fixed('1s') } })
      .on(files, '#', ({ data, metadata }) => {
        seen.push([...(data as Uint8Array)].join(), metadata.tenant)
        ;(data as Uint8Array).fill(9)
        Reflect.set(metadata, 'tenant', 'changed')
        throw new Error('no')
      })
      .start()
  }
  const headers = {
    'ce-specversion': '1.0',
    'ce-id': 'a',
    'ce-source': 's',
    'ce-type': 'file',
    tenant: 'acme',
  }
  publishRaw('files', {
    body: new Uint8Array([1, 2]),
    contentType: 'application/octet-stream',
    headers,
  })
  await test.advance('5s')
  expect(seen).toEqual(Array.from({ length: 4 }, () => ['1,2', 'acme']).flat())
})

describe('the async context', () => {
  test('of a batch handler is none of its messages’', async () => {
    await using bus = await setUp()
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    bus.bus.use({ handle: ({ message }, next) => storage.run(message.id, next) })
    await bus.bus
      .consumer('billing')
      .onBatch(OrderCreated, { size: 2, wait: '1s' }, () => seen.push(storage.getStore()))
      .start()
    await bus.bus.producer().sendBatch(OrderCreated, [{ n: 1 }, { n: 2 }, { n: 3 }])
    await bus.advance('2s')
    expect(seen).toEqual([undefined, undefined])
  })
})

describe('idempotency', () => {
  test('gives one id one effect: duplicates of a done one are acked', async () => {
    await using bus = await setUp()
    const heard = events(bus)
    const { calls, producer } = await consuming(bus, () => {}, {
      idempotency: memoryIdempotencyStore({ clock: bus.clock }),
    })
    for (let copy = 0; copy < 3; copy += 1) {
      await producer.send(OrderCreated, { n: copy }, { id: 'same' })
      await bus.idle()
    }
    expect(calls).toHaveLength(1)
    expect(heard).toMatchObject([
      ['duplicate', { state: 'done' }],
      ['duplicate', { state: 'done' }],
    ])
  })

  test('is for each source: the same id of another producer is another message', async () => {
    await using bus = await setUp()
    const { calls } = await consuming(bus, () => {}, {
      idempotency: memoryIdempotencyStore({ clock: bus.clock }),
    })
    for (const source of ['a', 'b'])
      await bus.bus.producer({ source }).send(OrderCreated, { n: 1 }, { id: 'same' })
    await bus.idle()
    expect(calls).toHaveLength(2)
  })

  test('is for each group', async () => {
    await using bus = await setUp()
    const idempotency = memoryIdempotencyStore({ clock: bus.clock })
    const { calls } = await consuming(bus, () => {}, { idempotency })
    let shipped = 0
    await bus.bus
      .consumer('shipping', { idempotency, allowUndeclaredGroup: true })
      .on(OrderCreated, () => {
        shipped += 1
      })
      .start()
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    await bus.idle()
    expect([calls.length, shipped]).toEqual([1, 1])
  })

  test('delays a duplicate of one that is being handled, without using up its attempts', async () => {
    await using bus = await setUp()
    let end = () => {}
    const { calls, producer } = await consuming(
      bus,
      () =>
        new Promise<void>((resolve) => {
          end = resolve
        }),
      { idempotency: memoryIdempotencyStore({ clock: bus.clock }), retry: { attempts: 1 } },
    )
    await producer.send(OrderCreated, { n: 1 }, { id: 'same' })
    await producer.send(OrderCreated, { n: 1 }, { id: 'same' })
    await bus.advance('5m')
    expect(calls).toHaveLength(1)
    end()
    await bus.advance('1m')
    expect(calls).toHaveLength(1)
    expect(await bus.bus.group(orders, 'billing').stats()).toMatchObject({ delayed: 0, dead: 0, inFlight: 0 })
  })

  test('leaves no mark of a failed attempt, so that the retry runs', async () => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(
      bus,
      (_message, { attempt }) => {
        if (attempt < 3) throw new Error('no')
      },
      { idempotency: memoryIdempotencyStore({ clock: bus.clock }), retry: { backoff: fixed('1s') } },
    )
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('10s')
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
  })

  test('keeps the mark for as long as the handler runs, however long that is', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    let end = () => {}
    const { producer } = await consuming(
      bus,
      () =>
        new Promise<void>((resolve) => {
          end = resolve
        }),
      { idempotency: { store, lease: '1m' } },
    )
    const { id } = await producer.send(OrderCreated, { n: 1 })
    await bus.advance('10m')
    const mark = { group: 'billing', topic: 'orders', type: 'order.created', source: 'waybill', id }
    expect((await store.begin(mark, 1000)).state).toBe('processing')
    end()
    await bus.idle()
    expect((await store.begin(mark, 1000)).state).toBe('done')
  })

  test('remembers for its window', async () => {
    await using bus = await setUp()
    const { calls, producer } = await consuming(bus, () => {}, {
      idempotency: { store: memoryIdempotencyStore({ clock: bus.clock }), window: '1h' },
    })
    for (const pause of ['59m', '2m'] as const) {
      await producer.send(OrderCreated, { n: 1 }, { id: 'same' })
      await bus.advance(pause)
    }
    expect(calls).toHaveLength(1)
    await producer.send(OrderCreated, { n: 1 }, { id: 'same' })
    await bus.idle()
    expect(calls).toHaveLength(2)
  })

  test('knows a message by the key that the handler is given', async () => {
    await using bus = await setUp()
    const keys: unknown[] = []
    const { producer } = await consuming(bus, (_message, { idempotencyKey }) => keys.push(idempotencyKey))
    await producer.send(OrderCreated, { n: 1 }, { id: 'o-1' })
    await bus.idle()
    expect(keys).toEqual([
      { group: 'billing', topic: 'orders', type: 'order.created', source: 'waybill', id: 'o-1' },
    ])
  })

  test('with a store that is away calls no handler, uses up no attempt, and goes on when it is back', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    const away = vi.spyOn(store, 'begin').mockRejectedValue(new Error('no connection'))
    let failures = 0
    bus.bus.on('failure', () => {
      failures += 1
    })
    const { calls, producer } = await consuming(bus, () => {}, { idempotency: store, retry: { attempts: 1 } })
    await producer.send(OrderCreated, { n: 1 })
    await producer.send(OrderCreated, { n: 2 })
    await bus.advance('1h')
    expect(calls).toEqual([])
    expect(failures).toBeGreaterThan(100)
    expect(await bus.bus.health()).toMatchObject({
      status: 'degraded',
      consumers: [{ error: { message: expect.stringMatching(/no connection/) }, inFlight: 2 }],
    })
    away.mockRestore()
    await bus.advance('5s')
    expect(calls.map(({ n, attempt }) => [n, attempt])).toEqual([
      [1, 1],
      [2, 1],
    ])
    expect(await bus.bus.health()).toMatchObject({ status: 'up' })
    expect(await deadOf(bus)).toEqual([])
  })

  test('gives back what waits for a store that is away when it is paused or stopped', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    vi.spyOn(store, 'begin').mockRejectedValue(new Error('no connection'))
    const { consumer, producer } = await consuming(bus, () => {}, { idempotency: store })
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('1m')
    consumer.pause()
    await bus.advance('1s')
    const stats = () => bus.bus.group(orders, 'billing').stats()
    expect(await stats()).toMatchObject({ waiting: 1, inFlight: 0 })
    consumer.resume()
    await bus.advance('1s')
    expect(await stats()).toMatchObject({ waiting: 0, inFlight: 1 })
    const stopped = consumer.stop({ timeout: '1m' })
    await bus.advance('1s')
    expect(await stopped).toEqual({ abandoned: [], released: 1 })
  })

  test('with a store that fails for one message fails that alone', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    const { begin } = store
    vi.spyOn(store, 'begin').mockImplementation((mark, leaseMs) =>
      mark.id === 'bad' ? Promise.reject(new Error('too odd an id')) : begin(mark, leaseMs),
    )
    const { calls, producer } = await consuming(bus, () => {}, { idempotency: store, retry: { attempts: 1 } })
    await producer.send(OrderCreated, { n: 1 }, { id: 'bad' })
    await producer.send(OrderCreated, { n: 2 })
    await bus.advance('10s')
    expect(calls.map(({ n }) => n)).toEqual([2])
    expect(await deadOf(bus)).toMatchObject([
      { reason: 'attempts-exhausted', error: { message: 'too odd an id' } },
    ])
  })

  test('with a store that never answers waits as for one that is away', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    const hanging = vi.spyOn(store, 'begin').mockImplementation(() => new Promise(() => {}))
    const { calls, producer } = await consuming(bus, () => {}, { idempotency: store })
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('5m')
    expect(await bus.bus.health()).toMatchObject({ status: 'degraded' })
    hanging.mockRestore()
    await bus.advance('2m')
    expect(calls).toHaveLength(1)
  })

  test('lets a mark go whose delivery was lost, so that a hung handler does not keep the message from another', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    let hung = false
    const { calls, producer } = await consuming(
      bus,
      () => {
        if (hung) return undefined
        hung = true
        return new Promise(() => {})
      },
      { idempotency: store, maxLease: '1m', lease: '30s' },
    )
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('3m')
    expect(calls).toHaveLength(2)
    expect(await bus.bus.group(orders, 'billing').stats()).toMatchObject({
      waiting: 0,
      inFlight: 0,
      delayed: 0,
    })
  })

  test('with a store that fails after the effect still acks, and emits a failure', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    vi.spyOn(store, 'complete').mockRejectedValue(new Error('no connection'))
    const failures: unknown[] = []
    bus.bus.on('failure', (event) => failures.push(event))
    const { calls, producer } = await consuming(bus, () => {}, { idempotency: store })
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('10m')
    expect(calls).toHaveLength(1)
    expect(failures).toMatchObject([
      { what: 'idempotency store', error: { message: expect.stringMatching(/no connection/) } },
    ])
  })

  test('with a store that throws instead of rejecting tells of that too', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    const fail = () => {
      throw new Error('no connection')
    }
    vi.spyOn(store, 'extend').mockImplementation(fail)
    vi.spyOn(store, 'complete').mockImplementation(fail)
    let failures = 0
    bus.bus.on('failure', () => {
      failures += 1
    })
    let end = () => {}
    const { calls, producer } = await consuming(
      bus,
      () =>
        new Promise<void>((resolve) => {
          end = resolve
        }),
      { idempotency: { store, lease: '1m' } },
    )
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('30s')
    end()
    await bus.advance('10m')
    expect(calls).toHaveLength(1)
    expect(failures).toBe(2)
  })

  test('marks the effect of a handler whose delivery was lost meanwhile', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    const ends: (() => void)[] = []
    const { calls, producer } = await consuming(
      bus,
      () => new Promise<void>((resolve) => ends.push(resolve)),
      {
        idempotency: store,
        maxLease: '1m',
        lease: '30s',
      },
    )
    await producer.send(OrderCreated, { n: 1 })
    await bus.advance('90s')
    ends[0]?.()
    await bus.advance('10m')
    expect(calls).toHaveLength(1)
    expect(await bus.bus.group(orders, 'billing').stats()).toMatchObject({
      waiting: 0,
      inFlight: 0,
      delayed: 0,
    })
  })

  test('on an ordered topic holds the key of a duplicate until the other is through', async () => {
    await using bus = await setUp()
    const store = memoryIdempotencyStore({ clock: bus.clock })
    const mark = { group: 'billing', topic: 'ledger', type: 'booked', source: 'waybill', id: 'same' }
    const other = await store.begin(mark, 60_000)
    const handled: number[] = []
    await bus.bus
      .consumer('billing', { idempotency: store })
      .on(Booked, ({ data }) => handled.push(data.n))
      .start()
    await bus.bus.producer().send(Booked, { n: 1 }, { id: 'same', key: 'k' })
    await bus.bus.producer().send(Booked, { n: 2 }, { key: 'k' })
    await bus.advance('20s')
    expect(handled).toEqual([])
    if (other.state === 'started') await store.complete(mark, other.token, 60_000)
    await bus.advance('10s')
    expect(handled).toEqual([2])
  })
})

describe('broadcast', () => {
  test('gives each consumer every message, and what it cannot handle is dropped after its retries', async () => {
    await using bus = await setUp()
    const heard = events(bus)
    const seen: [string, number][] = []
    for (const name of ['a', 'b']) {
      await bus.bus
        .consumer('cache', { broadcast: true, retry: { attempts: 2, backoff: fixed('1m') } })
        .on(OrderCreated, (_message, { attempt }) => {
          seen.push([name, attempt])
          if (name === 'b') throw new Error('no')
        })
        .start()
    }
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    await bus.idle()
    expect(seen).toEqual([
      ['a', 1],
      ['b', 1],
    ])
    await bus.advance('1m')
    expect(seen.slice(2)).toEqual([['b', 2]])
    expect(heard.filter(([name]) => name === 'dropped')).toMatchObject([
      ['dropped', { group: 'cache', reason: 'attempts-exhausted', attempt: 2, error: { message: 'no' } }],
    ])
  })

  test('keeps nothing for a consumer that is away', async () => {
    await using bus = await setUp()
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    const seen: number[] = []
    const consumer = bus.bus
      .consumer('cache', { broadcast: true })
      .on(OrderCreated, ({ data }) => seen.push(data.n))
    await consumer.start()
    await bus.bus.producer().send(OrderCreated, { n: 2 })
    await bus.idle()
    await consumer.stop()
    expect(seen).toEqual([2])
    const { broker } = bus.bus.native('memory')
    expect(broker.topics.get('orders')?.instances.size).toBe(0)
  })
})

describe('options', () => {
  test('that are wrong are all listed with their paths', async () => {
    await using bus = await setUp()
    const wrong = {
      concurrency: 0,
      prefetch: -1,
      lease: '1ms',
      maxLease: 'long',
      retry: { attempts: 0, backof: 1 },
      maxDeliveries: 0.5,
      idempotency: { store: {}, lease: 0 },
      from: 'middle',
      broadcast: 1,
      concurency: 5,
    }
    let issues: readonly { readonly path: string }[] = []
    try {
      // @ts-expect-error: what a caller without types can do
      bus.bus.consumer('two words', wrong)
    } catch (error) {
      if (error instanceof ConfigurationError) issues = error.issues
    }
    expect(issues.map(({ path }) => path).sort()).toEqual([
      '',
      'broadcast',
      'concurrency',
      'from',
      'group',
      'idempotency.lease',
      'idempotency.store',
      'lease',
      'maxDeliveries',
      'maxLease',
      'prefetch',
      'retry',
      'retry.attempts',
    ])
  })

  test.each([
    ['broadcast', { broadcast: true }],
    ['replay', { from: 'earliest' }],
  ] as const)('that need the feature %s are refused without it', async (feature, options) => {
    const { bus } = await stubBus(stubDriver({ capabilities: { [feature]: false } }))
    expect(() => bus.consumer('billing', options)).toThrow(new RegExp(`feature "${feature}"`))
  })

  test('include a store whose methods are inherited', async () => {
    await using bus = await setUp()
    class Store {
      begin = vi.fn()
      async extend() {
        return true
      }
      async complete() {}
      async abandon() {}
    }
    bus.bus.consumer('billing', { idempotency: new Store() })
    bus.bus.consumer('billing', { idempotency: { store: new Store() } })
  })

  test('that ask for an ordered topic where there are none make start refuse', async () => {
    const { bus } = await stubBus(stubDriver({ capabilities: { ordered: false } }))
    const starting = bus
      .consumer('billing')
      .on(Booked, () => {})
      .start()
    await expect(starting).rejects.toMatchObject({ code: 'unsupported' })
  })

  test('from the earliest make a new group start with what the topic still has', async () => {
    await using bus = await setUp()
    await bus.bus.producer().send(OrderCreated, { n: 1 })
    const seen: Record<string, number[]> = { earliest: [], latest: [] }
    for (const from of ['earliest', 'latest'] as const) {
      await bus.bus
        .consumer(`new-${from}`, { from, allowUndeclaredGroup: true })
        .on(OrderCreated, ({ data }) => seen[from]?.push(data.n))
        .start()
    }
    await bus.bus.producer().send(OrderCreated, { n: 2 })
    await bus.idle()
    expect(seen).toEqual({ earliest: [1, 2], latest: [2] })
  })
})

test('an error of another kind than ours is told as the cause of what core says', async () => {
  const cause = new Error('ECONNREFUSED')
  const { bus } = await stubBus(stubDriver({ subscribe: () => Promise.reject(cause) }))
  const error: unknown = await bus
    .consumer('billing')
    .on(OrderCreated, () => {})
    .start()
    .catch((thrown: unknown) => thrown)
  expect(MessagingError.is(error) && error).toMatchObject({
    code: 'failed',
    message: 'The consumer billing on topic orders failed: ECONNREFUSED',
    cause,
  })
})
