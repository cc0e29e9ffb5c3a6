import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { failure, heldPublish, ok, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import type { OutboundMessage, Outcome, TopologyReport } from '../driver.ts'
import { sleep } from '../lib/clock.ts'
import { InvalidMessageError, MessagingError } from '../lib/errors.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'
import { BatchError } from './batch-error.ts'
import type { Producer } from './producer.ts'
import type { SendContext } from './send-middleware.ts'

const orders = defineTopic('orders')
const ledger = defineTopic('ledger', { ordered: true })
const order = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema: order })
const Booked = defineMessage(ledger, 'booked', { schema: order })

async function recording() {
  const published: (readonly OutboundMessage[])[] = []
  const { bus, clock } = await stubBus(
    stubDriver({
      publish: async (batch) => {
        published.push(batch)
        return batch.map(() => ok)
      },
    }),
  )
  return { bus, clock, published, ids: () => published.map((batch) => batch.map(({ id }) => id)) }
}

async function caught(promise: Promise<unknown>): Promise<MessagingError> {
  try {
    await promise
  } catch (error) {
    if (MessagingError.is(error)) return error
    throw error
  }
  throw new Error('it did not reject')
}

async function issuesOf(promise: Promise<unknown>): Promise<Record<string, string>> {
  const error = await caught(promise)
  expect(error).toBeInstanceOf(InvalidMessageError)
  expect(error.fate).toBe('not-sent')
  const { issues } = error as InvalidMessageError
  return Object.fromEntries(issues.map(({ path, message }) => [path, message]))
}

describe('a message that is sent', () => {
  test('comes back whole, with a new id, the time and the producer’s source', async () => {
    const { bus, clock } = await recording()
    const sent = await bus.producer({ source: '/checkout' }).send(OrderCreated, { n: 1 })
    expect(sent).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      type: 'order.created',
      version: 1,
      timestamp: new Date(clock.now()),
      data: { n: 1 },
      metadata: { source: '/checkout' },
    })
  })

  test('travels as it was given, and comes back as the schema makes it', async () => {
    const { bus, published } = await recording()
    const Dated = defineMessage(orders, 'dated', {
      schema: z.object({ at: z.string().transform((text) => new Date(text)) }),
    })
    const { data } = await bus.producer().send(Dated, { at: '2026-01-01T00:00:00Z' })
    expect(data).toEqual({ at: new Date('2026-01-01T00:00:00Z') })
    const body = JSON.parse(new TextDecoder().decode(published[0]?.[0]?.body))
    expect(body.data).toEqual({ at: '2026-01-01T00:00:00Z' })
  })

  test('carries its options to the driver', async () => {
    const { bus, clock, published } = await recording()
    await bus.producer().send(
      OrderCreated,
      { n: 1 },
      {
        id: 'o-1',
        key: 'k',
        delay: '5s',
        priority: 7,
        expiresIn: '1h',
        metadata: { tenant: 'acme' },
        correlationId: 'c',
        causationId: 'm',
      },
    )
    expect(published[0]?.[0]).toMatchObject({
      topic: orders,
      type: 'order.created',
      id: 'o-1',
      key: 'k',
      delayMs: 5000,
      priority: 7,
      expiresAt: clock.now() + 3_600_000,
      headers: { tenant: 'acme', 'waybill-priority': '7' },
      attributes: { id: 'o-1', partitionkey: 'k', correlationid: 'c', causationid: 'm' },
    })
  })

  test('has the key its definition makes of the data, unless the send gives one', async () => {
    const { bus, published } = await recording()
    const Keyed = defineMessage(ledger, 'keyed', { schema: order, key: ({ n }) => `k-${n}` })
    const producer = bus.producer()
    await producer.send(Keyed, { n: 1 })
    await producer.send(Keyed, { n: 1 }, { key: 'other' })
    expect(published.flat().map(({ key }) => key)).toEqual(['k-1', 'other'])
  })

  test('is told of by an event', async () => {
    const { bus } = await recording()
    const told: unknown[] = []
    bus.on('sent', (event) => told.push(event))
    const message = await bus.producer().send(OrderCreated, { n: 1 })
    expect(told).toEqual([{ topic: 'orders', message }])
  })
})

test('data of a wider type than the schema takes does not compile', () => {
  const wide = (producer: Producer, data: { n: number | string }, anything: unknown) => [
    // @ts-expect-error: n may be text
    producer.send(OrderCreated, data),
    // @ts-expect-error: it may be anything
    producer.send(OrderCreated, anything),
    // @ts-expect-error: n may be text
    producer.sendBatch(OrderCreated, [data]),
  ]
  expect(wide).toBeTypeOf('function')
})

describe('sends travel together', () => {
  test('when they are concurrent', async () => {
    const { bus, ids } = await recording()
    const producer = bus.producer()
    await Promise.all(['a', 'b', 'c'].map((id) => producer.send(OrderCreated, { n: 1 }, { id })))
    expect(ids()).toEqual([['a', 'b', 'c']])
  })

  test('but not when each is awaited, nor across topics', async () => {
    const { bus, ids } = await recording()
    const producer = bus.producer()
    await producer.send(OrderCreated, { n: 1 }, { id: 'a' })
    await producer.send(OrderCreated, { n: 1 }, { id: 'b' })
    await Promise.all([
      producer.send(OrderCreated, { n: 1 }, { id: 'c' }),
      producer.send(Booked, { n: 1 }, { id: 'd', key: 'k' }),
    ])
    expect(ids()).toEqual([['a'], ['b'], ['c'], ['d']])
  })

  test('in batches no larger than the driver takes', async () => {
    const sizes: number[] = []
    const { bus } = await stubBus(
      stubDriver({
        capabilities: { publishBatchSize: 2 },
        publish: async (batch) => {
          sizes.push(batch.length)
          return batch.map(() => ok)
        },
      }),
    )
    const producer = bus.producer()
    await Promise.all([1, 2, 3, 4, 5].map((n) => producer.send(OrderCreated, { n })))
    expect(sizes).toEqual([2, 2, 1])
  })
})

describe('nothing is sent', () => {
  test('when data or options are wrong: every problem is listed with its path', async () => {
    const { bus, published } = await recording()
    const options = {
      key: '',
      priority: 10,
      delay: 'soon',
      metadata: { 'waybill-x': '1', 'a b': '2', n: 3 },
      prioritty: 1,
    }
    // @ts-expect-error: what a caller without types can do
    const issues = await issuesOf(bus.producer().send(OrderCreated, { n: '1' }, options))
    expect(Object.keys(issues).sort()).toEqual([
      'data.n',
      'options',
      'options.delay',
      'options.key',
      'options.metadata.a b',
      'options.metadata.n',
      'options.priority',
    ])
    expect(published).toEqual([])
  })

  test('when metadata has a reserved name', async () => {
    const { bus, published } = await recording()
    const metadata = { 'ce-id': 'x', correlationId: 'x' }
    const issues = await issuesOf(bus.producer().send(OrderCreated, { n: 1 }, { metadata }))
    expect(issues['options.metadata.ce-id']).toMatch(/reserved/)
    expect(issues['options.metadata.correlationId']).toMatch(/reserved/)
    expect(published).toEqual([])
  })

  test('when text has half a character, which transports and stores would change', async () => {
    const { bus, published } = await recording()
    const half = 'a\ud800'
    const options = { id: half, key: half, correlationId: half, causationId: half, metadata: { note: half } }
    expect(await issuesOf(bus.producer().send(OrderCreated, { n: 1 }, options))).toEqual(
      Object.fromEntries(
        ['id', 'key', 'correlationId', 'causationId', 'metadata.note'].map((path) => [
          `options.${path}`,
          'expected text without lone surrogates',
        ]),
      ),
    )
    expect(published).toEqual([])
  })

  test('when an ordered topic gets a message without a key', async () => {
    const { bus } = await recording()
    expect((await issuesOf(bus.producer().send(Booked, { n: 1 }))).key).toMatch(
      /"ledger" is ordered and needs a key/,
    )
  })

  test.each([
    ['throws', () => JSON.parse('{'), /key function threw: .*JSON/],
    ['makes no text', () => 7, /text of 1 to 1024 characters/],
    ['makes an empty text', () => '', /text of 1 to 1024 characters/],
    ['makes too long a text', () => 'k'.repeat(1025), /text of 1 to 1024 characters/],
    ['makes half a character', () => '\ud800', /without lone surrogates/],
  ])('when the key function %s', async (_what, key, reason) => {
    const { bus, published } = await recording()
    for (const topic of [orders, ledger]) {
      const Keyed = defineMessage(topic, 'keyed', { schema: order, key: (data) => key.call(data) })
      expect((await issuesOf(bus.producer().send(Keyed, { n: 1 }))).key).toMatch(reason)
    }
    expect(published).toEqual([])
  })

  test('when the schema itself throws', async () => {
    const { bus } = await recording()
    const broken = z.object({ n: z.number().refine(() => JSON.parse('{')) })
    const Broken = defineMessage(orders, 'broken', { schema: broken })
    expect((await issuesOf(bus.producer().send(Broken, { n: 1 }))).data).toMatch(/schema threw: .*JSON/)
  })

  test('when the data cannot be written as JSON', async () => {
    const { bus } = await recording()
    const Any = defineMessage(orders, 'any', { schema: z.unknown() })
    const issues = await issuesOf(bus.producer().send(Any, { n: 1n, list: [new Map()] }))
    expect(issues['data.n']).toMatch(/BigInt cannot be written as JSON/)
    expect(issues['data.list.0']).toMatch(/Map cannot be written as JSON/)
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect((await issuesOf(bus.producer().send(Any, cycle))).data).toMatch(
      /cannot be written as JSON.*circular/s,
    )
  })

  test('when it is larger than the broker takes, headers included', async () => {
    const publish = vi.fn(async () => [ok])
    const { bus } = await stubBus(stubDriver({ capabilities: { maxMessageBytes: 1000 }, publish }))
    const Text = defineMessage(orders, 'text', { schema: z.string() })
    const error = await caught(
      bus.producer().send(Text, 'x'.repeat(900), { metadata: { a: 'b'.repeat(100) } }),
    )
    expect(error).toMatchObject({ code: 'too-large', fate: 'not-sent', retryable: false })
    expect(error.message).toMatch(/text .* has \d+ bytes .* takes at most 1000/)
    expect(publish).not.toHaveBeenCalled()
  })

  test.each([
    ['delay', OrderCreated, { delay: '1s' }],
    ['priority', OrderCreated, { priority: 1 }],
    ['ordered', Booked, { key: 'k' }],
  ] as const)('when the driver lacks %s', async (feature, definition, options) => {
    const publish = vi.fn(async () => [ok])
    const { bus } = await stubBus(stubDriver({ capabilities: { [feature]: false }, publish }))
    const error = await caught(bus.producer().send(definition, { n: 1 }, options))
    expect(error.code).toBe('unsupported')
    expect(error.message).toMatch(
      new RegExp(`feature "${feature}", which the stub driver does not have. Instead: `),
    )
    expect(publish).not.toHaveBeenCalled()
  })

  test('when the topic cannot be provisioned; the next send looks again', async () => {
    const apply = vi
      .fn(async () => ({ created: [], missing: [] }))
      .mockRejectedValueOnce(new MessagingError('access-denied', 'not yours'))
    const { bus } = await stubBus(stubDriver({ apply }))
    const producer = bus.producer()
    expect(await caught(producer.send(OrderCreated, { n: 1 }))).toMatchObject({
      code: 'access-denied',
      fate: 'not-sent',
    })
    await producer.send(OrderCreated, { n: 1 })
    await producer.send(OrderCreated, { n: 1 })
    expect(apply).toHaveBeenCalledTimes(2)
  })
})

test('a delay beyond what the driver can wait is refused, and says what it can', async () => {
  const publish = vi.fn(async () => [ok])
  const { bus } = await stubBus(stubDriver({ capabilities: { maxDelayMs: 60_000 }, publish }))
  const error = await caught(bus.producer().send(OrderCreated, { n: 1 }, { delay: '61s' }))
  expect(error).toMatchObject({ code: 'unsupported', fate: 'not-sent' })
  expect(error.message).toMatch(
    /61000 ms is longer than the stub driver can hold a message; delay it by 60000 ms at most/,
  )
  await bus.producer().send(OrderCreated, { n: 1 }, { delay: '60s' })
  expect(publish).toHaveBeenCalledTimes(1)
})

test('a producer is refused with every wrong option', async () => {
  const { bus } = await recording()
  const make = () => bus.producer({ source: 'two words', timeout: -1, maxInFlightBytes: 0 })
  expect(make).toThrow(/source: expected a URI reference/)
  expect(make).toThrow(/timeout: .*\n.*maxInFlightBytes: /)
})

describe('a send that fails', () => {
  test('for a reason that may go away is tried again until it succeeds', async () => {
    const outcomes = [failure({ retryable: true }), failure({ retryable: true }), ok]
    const publish = vi.fn(async () => [outcomes.shift() ?? ok])
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const sending = bus.producer().send(OrderCreated, { n: 1 })
    await clock.advance('10s')
    await sending
    expect(publish).toHaveBeenCalledTimes(3)
  })

  test('for good is not tried again, and says which message went to which topic, why, and with what fate', async () => {
    const publish = vi.fn(async () => [failure({ fate: 'not-sent' }, 'the queue is full')])
    const { bus } = await stubBus(stubDriver({ publish }))
    const error = await caught(bus.producer().send(OrderCreated, { n: 1 }, { id: 'o-1' }))
    expect(error).toMatchObject({ code: 'rejected', fate: 'not-sent', retryable: false })
    expect(error.message).toBe('Sending order.created o-1 to topic orders failed: the queue is full')
    expect(error.cause).toMatchObject({ message: 'the queue is full' })
    expect(publish).toHaveBeenCalledTimes(1)
  })

  test('for an error that is none of ours keeps it as the cause, its fate unknown', async () => {
    const cause = new TypeError('x is not a function')
    const { bus } = await stubBus(stubDriver({ publish: () => Promise.reject(cause) }))
    const error = await caught(bus.producer().send(OrderCreated, { n: 1 }))
    expect(error).toMatchObject({ code: 'failed', fate: 'unknown', cause: { code: 'failed', cause } })
  })

  test('because the driver forgot to answer says so', async () => {
    const { bus } = await stubBus(stubDriver({ publish: async () => [] }))
    const error = await caught(bus.producer().send(OrderCreated, { n: 1 }))
    expect(error).toMatchObject({ code: 'failed', fate: 'unknown' })
    expect(error.message).toMatch(/no outcome for the message/)
  })

  test('until its timeout was certainly not sent, if each try said so', async () => {
    const publish = async () => [failure({ retryable: true, fate: 'not-sent' }, 'no connection')]
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const sending = caught(bus.producer({ timeout: '5s' }).send(OrderCreated, { n: 1 }))
    await clock.advance('5s')
    const error = await sending
    expect(error).toMatchObject({ code: 'timeout', fate: 'not-sent', retryable: true })
    expect(error.message).toMatch(/within the timeout; the last attempt failed: no connection/)
  })

  test('has an unknown fate from the first try that may have reached the broker', async () => {
    const outcomes = [failure({ retryable: true, fate: 'unknown' })]
    const publish = async () => [outcomes.shift() ?? failure({ retryable: true, fate: 'not-sent' })]
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const sending = caught(bus.producer({ timeout: '5s' }).send(OrderCreated, { n: 1 }))
    await clock.advance('5s')
    expect(await sending).toMatchObject({ code: 'timeout', fate: 'unknown' })
  })

  test('because nothing answers within its own timeout has an unknown fate', async () => {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const sending = caught(bus.producer().send(OrderCreated, { n: 1 }, { timeout: '2s' }))
    await clock.advance('1999ms')
    expect(calls).toHaveLength(1)
    await clock.advance(1)
    expect(await sending).toMatchObject({ code: 'timeout', fate: 'unknown' })
  })

  test('while it waits behind another was certainly not sent', async () => {
    const { publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer()
    void producer.send(OrderCreated, { n: 1 }).catch(() => {})
    await settle()
    const second = caught(producer.send(OrderCreated, { n: 2 }, { timeout: '1s' }))
    await clock.advance('1s')
    expect(await second).toMatchObject({ code: 'timeout', fate: 'not-sent' })
  })

  test('on an ordered topic: nothing that was sent later overtakes it', async () => {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ capabilities: { publishParallelism: 8 }, publish }))
    const producer = bus.producer()
    const sent = [producer.send(Booked, { n: 1 }, { key: 'k', id: 'first' })]
    await settle()
    sent.push(producer.send(Booked, { n: 2 }, { key: 'k', id: 'second' }))
    await settle()
    calls[0]?.answer(failure({ retryable: true }))
    await clock.advance('5s')
    calls[1]?.answer(ok)
    await Promise.all(sent)
    expect(calls.map(({ ids }) => ids)).toEqual([['first'], ['first', 'second']])
    await bus.close()
  })

  test('on another topic: what was sent later need not wait for it', async () => {
    const { calls, publish } = heldPublish()
    const { bus } = await stubBus(stubDriver({ capabilities: { publishParallelism: 2 }, publish }))
    const producer = bus.producer()
    const sent: Promise<unknown>[] = []
    for (const id of ['first', 'second', 'third']) {
      sent.push(producer.send(OrderCreated, { n: 1 }, { id }))
      await settle()
    }
    expect(calls.map(({ ids }) => ids)).toEqual([['first'], ['second']])
    for (const index of [0, 1, 2]) {
      calls[index]?.answer(ok)
      await settle()
    }
    await Promise.all(sent)
    await bus.close()
  })

  test('in part of its batch: only those are tried again, in order', async () => {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer()
    const sending = Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((id) => producer.send(OrderCreated, { n: 1 }, { id })),
    )
    await settle()
    calls[0]?.answer([failure({ retryable: true }), ok, failure(), failure({ retryable: true })])
    await clock.advance('5s')
    expect(calls[1]?.ids).toEqual(['a', 'd'])
    calls[1]?.answer(ok)
    expect((await sending).map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
    ])
  })

  test('holds back what was sent after it on its topic, so that order survives', async () => {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer()
    const send = (id: string) => producer.send(Booked, { n: 1 }, { id, key: 'k' })
    const first = send('first')
    await settle()
    const second = send('second')
    calls[0]?.answer(failure({ retryable: true }))
    await clock.advance('5s')
    expect(calls.map(({ ids }) => ids)).toEqual([['first'], ['first', 'second']])
    calls[1]?.answer(ok)
    await Promise.all([first, second])
  })

  test('holds back only its key on an ordered topic', async () => {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer()
    const send = (id: string, key: string) => producer.send(Booked, { n: 1 }, { id, key })
    const sending = [send('a1', 'a'), send('b1', 'b'), send('a2', 'a')]
    await settle()
    const refused = failure({ retryable: true, fate: 'not-sent' })
    calls[0]?.answer([refused, ok, refused])
    sending.push(send('a3', 'a'), send('b2', 'b'))
    await settle()
    expect(calls[1]?.ids).toEqual(['b2'])
    calls[1]?.answer(ok)
    await settle()
    sending.push(send('a4', 'a'))
    await clock.advance('1s')
    expect(calls[2]?.ids).toEqual(['a1', 'a2', 'a3', 'a4'])
    calls[2]?.answer(ok)
    await Promise.all(sending)
  })

  test('holds back no other on an unordered topic, though it is refused until its deadline', async () => {
    const { bus, clock } = await stubBus(
      stubDriver({
        publish: async (batch) =>
          batch.map(({ id }) => (id === 'bad' ? failure({ retryable: true, fate: 'not-sent' }) : ok)),
      }),
    )
    const producer = bus.producer({ timeout: '30s' })
    const bad = caught(producer.send(OrderCreated, { n: 1 }, { id: 'bad' }))
    await settle()
    await Promise.all(Array.from({ length: 30 }, (_, n) => producer.send(OrderCreated, { n })))
    await clock.advance('30s')
    expect(await bad).toMatchObject({ code: 'timeout', fate: 'not-sent' })
  })

  test('because the broker is away holds its topic back: it is not asked by every send', async () => {
    const away = new MessagingError('disconnected', 'gone', { retryable: true, fate: 'not-sent' })
    const publish = vi.fn(async (batch: readonly OutboundMessage[]) =>
      batch.map((): Outcome => ({ ok: false, error: away })),
    )
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer({ timeout: '10s' })
    const sending = Array.from({ length: 20 }, async (_, n) => {
      await clock.advance(1)
      await caught(producer.send(OrderCreated, { n }))
    })
    await clock.advance('11s')
    await Promise.all(sending)
    expect(publish.mock.calls.length).toBeLessThan(20)
  })

  test('is tried again with what is left of its delay', async () => {
    const delays: number[] = []
    const { bus, clock } = await stubBus(
      stubDriver({
        publish: async (batch) => {
          delays.push(...batch.map(({ delayMs }) => delayMs))
          return batch.map(() => (clock.monotonic() < 2000 ? failure({ retryable: true }) : ok))
        },
      }),
    )
    const sending = bus.producer().send(OrderCreated, { n: 1 }, { delay: '5s' })
    await clock.advance('10s')
    await sending
    expect(delays[0]).toBe(5000)
    expect(delays.length).toBeGreaterThan(1)
    expect(delays.at(-1)).toBeLessThanOrEqual(3000)
    expect(delays.at(-1)).toBeGreaterThan(0)
  })

  test('and whose timeout is over is not kept for the driver', async () => {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer({ timeout: '1s' })
    const first = producer.send(OrderCreated, { n: 1 }, { timeout: '1h', id: 'first' })
    await settle()
    const late = caught(producer.send(OrderCreated, { n: 2 }, { id: 'late' }))
    await clock.advance('1s')
    expect(await late).toMatchObject({ code: 'timeout', fate: 'not-sent' })
    calls[0]?.answer(ok)
    await first
    await settle()
    expect(calls).toHaveLength(1)
  })

  test('does not hold back other topics', async () => {
    const { calls, publish } = heldPublish()
    const { bus } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer()
    void producer.send(OrderCreated, { n: 1 }, { id: 'stuck' }).catch(() => {})
    await settle()
    const other = producer.send(Booked, { n: 1 }, { id: 'free', key: 'k' })
    await settle()
    calls.find(({ ids }) => ids.includes('free'))?.answer(ok)
    await other
  })
})

describe('an abort signal', () => {
  test('that has fired keeps the message from being sent', async () => {
    const { bus, published } = await recording()
    const sending = bus.producer().send(OrderCreated, { n: 1 }, { signal: AbortSignal.abort() })
    expect(await caught(sending)).toMatchObject({ code: 'aborted', fate: 'not-sent', retryable: false })
    expect(published).toEqual([])
  })

  test('ends a send that is under way, whose fate is then unknown', async () => {
    const { publish } = heldPublish()
    const { bus } = await stubBus(stubDriver({ publish }))
    const controller = new AbortController()
    const sending = caught(bus.producer().send(OrderCreated, { n: 1 }, { signal: controller.signal }))
    await settle()
    controller.abort()
    expect(await sending).toMatchObject({ code: 'aborted', fate: 'unknown' })
  })

  test('is let go of when the send is through', async () => {
    const { bus } = await recording()
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    await bus.producer().send(OrderCreated, { n: 1 }, { signal })
    expect(added.mock.calls.length).toBeGreaterThan(0)
    expect(removed).toHaveBeenCalledTimes(added.mock.calls.length)
  })
})

describe('the bytes on their way', () => {
  const Text = defineMessage(orders, 'text', { schema: z.string() })
  const large = 'x'.repeat(1000)

  async function bounded() {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish, capabilities: { publishParallelism: 100 } }))
    return { bus, calls, clock, producer: bus.producer({ maxInFlightBytes: 3000, timeout: '10s' }) }
  }

  test('are bounded: further sends wait until there is room', async () => {
    const { calls, producer } = await bounded()
    const sends = [1, 2, 3, 4].map(() => producer.send(Text, large))
    await settle()
    expect(calls.flatMap(({ ids }) => ids)).toHaveLength(2)
    for (let turn = 0; turn < 4; turn += 1) {
      for (const call of calls) call.answer(ok)
      await settle()
    }
    await Promise.all(sends)
  })

  test('let one message through that is larger than the bound', async () => {
    const { calls, producer } = await bounded()
    const sending = producer.send(Text, 'x'.repeat(10_000))
    await settle()
    calls[0]?.answer(ok)
    await sending
  })

  test('make a send give up at its timeout, certainly not sent', async () => {
    const { clock, producer } = await bounded()
    for (let each = 0; each < 2; each += 1) void producer.send(Text, large).catch(() => {})
    await settle()
    const third = caught(producer.send(Text, large, { timeout: '1s' }))
    await clock.advance('1s')
    const error = await third
    expect(error).toMatchObject({ code: 'timeout', fate: 'not-sent', retryable: true })
    expect(error.message).toMatch(/slower than its senders/)
  })

  test('make a send give up when its signal fires, letting those behind it through', async () => {
    const { calls, producer } = await bounded()
    const controller = new AbortController()
    void producer.send(Text, 'x'.repeat(2000)).catch(() => {})
    await settle()
    const huge = caught(producer.send(Text, 'x'.repeat(2500), { signal: controller.signal }))
    const small = producer.send(Text, 'small', { id: 'small' })
    await settle()
    expect(calls).toHaveLength(1)
    controller.abort()
    expect(await huge).toMatchObject({ code: 'aborted', fate: 'not-sent' })
    await settle()
    expect(calls[1]?.ids).toEqual(['small'])
    calls[1]?.answer(ok)
    await small
  })

  test('keep the order of sends: none overtakes one that waited for room', async () => {
    const { calls, publish } = heldPublish()
    const { bus } = await stubBus(stubDriver({ publish, capabilities: { publishBatchSize: 1 } }))
    const producer = bus.producer({ maxInFlightBytes: 1500 })
    const send = (id: string) => producer.send(Text, large, { id })
    const first = send('first')
    const second = send('second')
    await settle()
    const afterFirst = first.then(() => send('third'))
    for (let turn = 0; turn < 3; turn += 1) {
      calls[turn]?.answer(ok)
      await settle()
    }
    await Promise.all([second, afterFirst])
    expect(calls.flatMap(({ ids }) => ids)).toEqual(['first', 'second', 'third'])
  })

  test('are given back after failures too', async () => {
    const { bus } = await stubBus(stubDriver({ publish: async (batch) => batch.map(() => failure()) }))
    const producer = bus.producer({ maxInFlightBytes: 1500 })
    for (let each = 0; each < 5; each += 1) {
      expect((await caught(producer.send(Text, large))).code).toBe('rejected')
    }
  })
})

describe('a batch', () => {
  test('resolves with every message, in the order of the items', async () => {
    const { bus, published } = await recording()
    const sent = await bus.producer().sendBatch(OrderCreated, [{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(sent.map(({ data }) => data.n)).toEqual([1, 2, 3])
    expect(new Set(sent.map(({ id }) => id)).size).toBe(3)
    expect(published).toHaveLength(1)
  })

  test('of nothing is nothing', async () => {
    const { bus, published } = await recording()
    expect(await bus.producer().sendBatch(OrderCreated, [])).toEqual([])
    expect(published).toEqual([])
  })

  test('with one wrong item sends none, and lists every problem under the item’s index', async () => {
    const { bus, published } = await recording()
    const items: unknown[] = [{ n: 1 }, { n: 'x' }, {}]
    // @ts-expect-error: what a caller without types can do
    const issues = await issuesOf(bus.producer().sendBatch(OrderCreated, items))
    expect(Object.keys(issues)).toEqual(['1.data.n', '2.data.n'])
    expect(published).toEqual([])
  })

  test('with wrong options lists them once', async () => {
    const { bus } = await recording()
    const sending = bus.producer().sendBatch(OrderCreated, [{ n: 1 }, { n: 2 }], { priority: 99 })
    expect(Object.keys(await issuesOf(sending))).toEqual(['options.priority'])
  })

  test('refuses one id for all its messages, which consumers would take for duplicates', async () => {
    const { bus } = await recording()
    const options = { id: 'same' }
    // @ts-expect-error: what a caller without types can do
    const sending = bus.producer().sendBatch(OrderCreated, [{ n: 1 }, { n: 2 }], options)
    expect((await issuesOf(sending))['options.id']).toMatch(/id of its own/)
  })

  test('that fails in part names exactly the failed, and gives the sent', async () => {
    const publish = async (batch: readonly OutboundMessage[]) =>
      batch.map((_each, index) =>
        index % 2 === 1 ? failure({ fate: 'not-sent' }, `no room for ${index}`) : ok,
      )
    const { bus } = await stubBus(stubDriver({ publish }))
    const error = await caught(
      bus.producer().sendBatch(
        OrderCreated,
        [1, 2, 3, 4].map((n) => ({ n })),
      ),
    )
    if (!(error instanceof BatchError)) throw error
    expect(error.failures.map(({ index }) => index)).toEqual([1, 3])
    expect(error.failures[0]).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      error: { code: 'rejected', message: expect.stringMatching(/no room for 1/) },
    })
    expect(error.sent.map(({ data }) => data)).toEqual([{ n: 1 }, { n: 3 }])
    expect(error.message).toMatch(/^2 of 4 messages were not sent; the first because: .*no room for 1/)
    expect(error).toMatchObject({ fate: 'not-sent', retryable: false, name: 'BatchError' })
  })

  test('is retryable only if all its failures are, and not sent only if none may have been', async () => {
    const outcomes = [failure({ fate: 'not-sent' }), failure({ fate: 'unknown' })]
    const { bus } = await stubBus(stubDriver({ publish: async () => outcomes }))
    const error = await caught(bus.producer().sendBatch(OrderCreated, [{ n: 1 }, { n: 2 }]))
    expect(error).toMatchObject({ fate: 'unknown', retryable: false })
  })
})

describe('send middleware', () => {
  test('wraps each send, the bus’s outside of the producer’s, and sees the message after next', async () => {
    const { bus } = await recording()
    const log: string[] = []
    const note = (name: string) => async (context: SendContext, next: () => Promise<void>) => {
      log.push(`${name} before ${context.message?.id}`)
      await next()
      log.push(`${name} after ${context.message?.id}`)
    }
    const producer = bus.producer().use(note('producer'))
    bus.use({ send: note('bus') })
    await producer.send(OrderCreated, { n: 1 }, { id: 'o-1' })
    expect(log).toEqual([
      'bus before undefined',
      'producer before undefined',
      'producer after o-1',
      'bus after o-1',
    ])
  })

  test('may change data and options, which are checked after it', async () => {
    const { bus, published } = await recording()
    const producer = bus.producer().use(async (context, next) => {
      context.options = { ...context.options, metadata: { tenant: 'acme' } }
      context.data = { n: 'wrong' }
      await next()
    })
    expect(Object.keys(await issuesOf(producer.send(OrderCreated, { n: 1 })))).toEqual(['data.n'])
    const right = bus.producer().use(async (context, next) => {
      context.options = { ...context.options, metadata: { tenant: 'acme' } }
      await next()
    })
    await right.send(OrderCreated, { n: 1 })
    expect(published[0]?.[0]?.headers).toEqual({ tenant: 'acme' })
  })

  test('that does not call next ends the send with an error', async () => {
    const { bus, published } = await recording()
    const error = await caught(
      bus
        .producer()
        .use(async () => {})
        .send(OrderCreated, { n: 1 }),
    )
    expect(error).toMatchObject({ code: 'aborted', fate: 'not-sent' })
    expect(error.message).toMatch(/order\.created without calling next/)
    expect(published).toEqual([])
  })

  test('leaves a batch checked once, but for what it changes', async () => {
    const { bus, published } = await recording()
    const checked: number[] = []
    const schema = z.object({ n: z.number() }).refine(({ n }) => checked.push(n) > 0)
    const Checked = defineMessage(orders, 'checked', { schema })
    const producer = bus.producer().use(async (context, next) => {
      if (context.options.key === 'change') context.data = { n: 7 }
      await next()
    })
    await producer.sendBatch(Checked, [{ n: 1 }, { n: 2 }])
    expect(checked).toEqual([1, 2])
    await producer.sendBatch(Checked, [{ n: 3 }], { key: 'change' })
    expect(checked).toEqual([1, 2, 3, 7])
    expect(published.flat()).toHaveLength(3)
  })

  test('sees each message of a batch, whose failures are named by the same ids', async () => {
    const publish = async (batch: readonly OutboundMessage[]) => batch.map(() => failure())
    const { bus } = await stubBus(stubDriver({ publish }))
    const ids: (string | undefined)[] = []
    const producer = bus.producer().use(async (context, next) => {
      ids.push(context.options.id)
      await next()
    })
    const error = await caught(producer.sendBatch(OrderCreated, [{ n: 1 }, { n: 2 }]))
    expect(error instanceof BatchError && error.failures.map(({ id }) => id)).toEqual(ids)
  })
})

describe('a message sent from a handler', () => {
  const Answered = defineMessage(orders, 'order.answered', { schema: order })

  test('carries on the conversation, its cause and its trace', async () => {
    await using test = await createTestBus({ topics: [orders] })
    const producer = test.bus.producer()
    const consumer = test.bus.consumer('billing').on(OrderCreated, async ({ data }) => {
      await producer.send(Answered, data)
      await producer.send(Answered, data, { correlationId: 'mine', causationId: 'too' })
    })
    await consumer.start()
    await producer.send(OrderCreated, { n: 1 }, { id: 'o-1', correlationId: 'c-1' })
    await producer.send(OrderCreated, { n: 1 }, { id: 'o-2' })
    await test.idle()
    const ties = test.sentOf(Answered).map(({ metadata }) => [metadata.correlationId, metadata.causationId])
    expect(ties).toHaveLength(4)
    expect(ties).toEqual(
      expect.arrayContaining([
        ['c-1', 'o-1'],
        ['mine', 'too'],
        ['o-2', 'o-2'],
      ]),
    )
  })

  test('of a batch has no single cause', async () => {
    await using test = await createTestBus({ topics: [orders] })
    const producer = test.bus.producer()
    const consumer = test.bus.consumer('billing').onBatch(OrderCreated, { size: 2 }, async () => {
      await producer.send(Answered, { n: 0 })
    })
    await consumer.start()
    await producer.sendBatch(OrderCreated, [{ n: 1 }, { n: 2 }])
    await test.idle()
    expect(test.sentOf(Answered).map(({ metadata }) => metadata)).toEqual([{ source: 'waybill' }])
  })
})

describe('after the bus is closed', () => {
  test('sends are refused', async () => {
    const { bus, published } = await recording()
    const producer = bus.producer()
    await bus.close()
    for (const sending of [
      producer.send(OrderCreated, { n: 1 }),
      producer.sendBatch(OrderCreated, [{ n: 1 }]),
    ]) {
      expect((await caught(sending)).code).toBe('closed')
    }
    expect(published).toEqual([])
  })

  test('those that were under way reject with an unknown fate, those that waited as not sent', async () => {
    const { calls, publish } = heldPublish()
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    const producer = bus.producer({ maxInFlightBytes: 500 })
    const first = caught(producer.send(OrderCreated, { n: 1 }))
    await settle()
    const second = caught(producer.send(OrderCreated, { n: 2 }))
    const third = caught(producer.send(OrderCreated, { n: 3 }, { timeout: '1h' }))
    await settle()
    const closing = bus.close({ timeout: '1s' })
    await clock.advance('1s')
    await closing
    expect(await first).toMatchObject({ code: 'closed', fate: 'unknown' })
    expect(await second).toMatchObject({ code: 'closed', fate: 'not-sent' })
    expect(await third).toMatchObject({ code: 'closed', fate: 'not-sent' })
    expect(calls).toHaveLength(1)
  })

  test('all that were accepted before are waited for: those that waited for room, a schema or middleware', async () => {
    const ids: string[] = []
    const { bus, clock } = await stubBus(
      stubDriver({
        publish: async (batch) => {
          await sleep(clock, 100)
          ids.push(...batch.map(({ id }) => id))
          return batch.map(() => ok)
        },
      }),
    )
    const slow = z.object({ n: z.number() }).refine(() => sleep(clock, 300).then(() => true))
    const Slow = defineMessage(orders, 'slow', { schema: slow })
    const producer = bus.producer({ maxInFlightBytes: 500 })
    const throughMiddleware = bus.producer().use(async (_context, next) => {
      await sleep(clock, 200)
      await next()
    })
    const sending = [
      ...['1', '2', '3'].map((id) => producer.send(OrderCreated, { n: 1 }, { id })),
      producer.send(Slow, { n: 1 }, { id: 'schema' }),
      throughMiddleware.send(OrderCreated, { n: 1 }, { id: 'middleware' }),
      producer.sendBatch(Slow, [{ n: 1 }, { n: 2 }]),
    ]
    const closing = bus.close({ timeout: '5s' })
    await clock.advance('1s')
    await closing
    await Promise.all(sending)
    expect(ids).toHaveLength(7)
  })

  test('one whose middleware hangs is told what is known of its message', async () => {
    const { bus, clock } = await stubBus(stubDriver())
    const forever = new Promise<void>(() => {})
    const before = caught(
      bus
        .producer()
        .use(() => forever)
        .send(OrderCreated, { n: 1 }),
    )
    const after = caught(
      bus
        .producer()
        .use(async (_context, next) => {
          await next()
          await forever
        })
        .send(OrderCreated, { n: 1 }),
    )
    await settle()
    const closing = bus.close({ timeout: '1s' })
    await clock.advance('1s')
    await closing
    expect(await before).toMatchObject({ code: 'closed', fate: 'not-sent' })
    expect(await after).toMatchObject({ code: 'closed', fate: 'unknown' })
  })

  test('one whose validation took too long does not reach the driver', async () => {
    const publish = vi.fn(async (batch: readonly OutboundMessage[]) =>
      batch.map(() => failure({ retryable: true })),
    )
    const { bus, clock } = await stubBus(stubDriver({ publish }))
    let validated = () => {}
    const slow = z.object({ n: z.number() }).refine(
      () =>
        new Promise<boolean>((resolve) => {
          validated = () => resolve(true)
        }),
    )
    const sending = caught(bus.producer().send(defineMessage(orders, 'slow', { schema: slow }), { n: 1 }))
    await settle()
    const closing = bus.close({ timeout: '1s' })
    await clock.advance('1s')
    await closing
    expect(await sending).toMatchObject({ code: 'closed', fate: 'not-sent' })
    validated()
    await settle()
    expect(publish).not.toHaveBeenCalled()
  })
})

test('a message that timed out while its topic was being made is not sent after all', async () => {
  const applied = Promise.withResolvers<TopologyReport>()
  const { calls, publish } = heldPublish()
  const { bus, clock } = await stubBus(stubDriver({ publish, apply: () => applied.promise }))
  const sending = bus.producer({ timeout: '1s' }).send(OrderCreated, { n: 1 })
  const late = bus.producer({ timeout: '1m' }).send(OrderCreated, { n: 2 }, { id: 'late' })
  const failed = expect(sending).rejects.toMatchObject({ code: 'timeout', fate: 'not-sent' })
  await clock.advance(1000)
  await failed
  applied.resolve({ created: [], missing: [] })
  await settle()
  expect(calls.map(({ ids }) => ids)).toEqual([['late']])
  calls[0]?.answer(ok)
  await late
})
