import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { connect } from '../bus/connect.ts'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import { StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import { memoryIdempotencyStore } from '../idempotency/idempotency.ts'
import {
  ConfigurationError,
  InvalidMessageError,
  MessagingError,
  PermanentError,
  RequestError,
  SkipMessage,
} from '../lib/errors.ts'
import { settle } from '../lib/virtual-clock.ts'
import type { MemoryNative } from '../memory/memory.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { Stage } from '../messages/stage.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus, type TestBus } from '../testing.ts'

const quotes = defineTopic('quotes', { groups: ['pricing'] })
const QuoteAsked = defineMessage(quotes, 'quote.asked', {
  schema: z.object({ sku: z.string() }),
  reply: z.object({ price: z.number(), at: z.string().transform((text) => new Date(text)) }),
})
const Pinged = defineMessage(quotes, 'pinged', { schema: z.object({}), reply: z.undefined() })
const at = '2026-01-01T00:00:00.000Z'

const setUp = () => createTestBus({ topics: [quotes] })

/** The group that replies, with what its handler does. */
async function pricing(
  { bus }: Pick<TestBus, 'bus'>,
  handle: (
    message: Message<{ sku: string }>,
    context: HandlerContext,
  ) => { price: number; at: string } | Promise<{ price: number; at: string }>,
) {
  const consumer = bus.consumer('pricing', { retry: { attempts: 2 } }).on(QuoteAsked, handle)
  await consumer.start()
  return consumer
}

async function failureOf(promise: Promise<unknown>): Promise<RequestError | MessagingError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!MessagingError.is(error)) throw new Error(`expected a MessagingError, not ${error}`)
  return error
}

describe('a request', () => {
  test('resolves with what the handler returned, as the reply’s schema makes it', async () => {
    await using kit = await setUp()
    await pricing(kit, ({ data }) => ({ price: data.sku.length, at }))
    const reply = await kit.bus.request(QuoteAsked, { sku: 'abc' })
    expectTypeOf(reply).toEqualTypeOf<{ price: number; at: Date }>()
    expect(reply).toEqual({ price: 3, at: new Date(at) })
    await kit.idle()
    expect(kit.sent.map(({ type }) => type)).toEqual(['quote.asked'])
    expect(kit.handled.map(({ group }) => group)).toEqual(['pricing'])
  })

  test('may have no reply but that it was handled', async () => {
    await using kit = await setUp()
    const consumer = kit.bus.consumer('pricing').on(Pinged, () => undefined)
    await consumer.start()
    expect(await kit.bus.request(Pinged, {})).toBeUndefined()
  })

  test('is typed at both ends', async () => {
    await using kit = await setUp()
    const Plain = defineMessage(quotes, 'plain', { schema: z.object({}) })
    const consumer = kit.bus.consumer('pricing')
    // @ts-expect-error: no reply
    consumer.on(QuoteAsked, () => {})
    // @ts-expect-error: another reply
    kit.bus.consumer('pricing').on(QuoteAsked, async () => ({ price: 'cheap', at }))
    // @ts-expect-error: of several types, one of their replies
    kit.bus.consumer('pricing').on([QuoteAsked, Pinged], () => 7)
    // @ts-expect-error: it has no reply
    await expect(kit.bus.request(Plain, {})).rejects.toThrow(/plain has no reply; give defineMessage a reply/)
    // @ts-expect-error: a request is sent at once
    const delayed = kit.bus.request(QuoteAsked, { sku: 'a' }, { delay: '1s' })
    await expect(delayed).rejects.toThrow(/options.delay: a request is sent at once/)
    await expect(kit.bus.request(QuoteAsked, { sku: 'a' }, { timeout: 0 })).rejects.toThrow(
      ConfigurationError,
    )
    // @ts-expect-error: wrong data
    await expect(kit.bus.request(QuoteAsked, { sku: 7 })).rejects.toThrow(InvalidMessageError)
  })

  test('carries on the conversation of the handler that makes it', async () => {
    await using kit = await setUp()
    const Wanted = defineMessage(quotes, 'wanted', { schema: z.object({}) })
    await pricing(kit, () => ({ price: 1, at }))
    const got = Promise.withResolvers<number>()
    const consumer = kit.bus
      .consumer('pricing', { allowUndeclaredGroup: true })
      .on(Wanted, async () => got.resolve((await kit.bus.request(QuoteAsked, { sku: 'a' })).price))
    await consumer.start()
    const { id } = await kit.bus.producer().send(Wanted, {})
    expect(await got.promise).toBe(1)
    expect(kit.sentOf(QuoteAsked)[0]?.metadata).toMatchObject({ correlationId: id, causationId: id })
  })

  test('is refused by name on a driver without broadcast', async () => {
    const { bus } = await stubBus(stubDriver({ capabilities: { broadcast: false } }))
    const error = await failureOf(bus.request(QuoteAsked, { sku: 'a' }))
    expect(error.code).toBe('unsupported')
    expect(error.message).toMatch(
      /^request quote.asked needs the feature "broadcast".*Instead: send a message/,
    )
  })

  test('with an id that waits already is refused', async () => {
    await using kit = await setUp()
    const first = failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }, { id: 'q-1', timeout: '1s' }))
    await expect(kit.bus.request(QuoteAsked, { sku: 'a' }, { id: 'q-1' })).rejects.toThrow(
      /options.id: a request with the id "q-1" waits/,
    )
    await kit.advance('1s')
    expect((await first).code).toBe('timeout')
  })

  test('keeps its reply address when middleware changes its options', async () => {
    await using kit = await setUp()
    kit.bus.use({
      send: async (context, next) => {
        context.options = { ...context.options, metadata: { tenant: 'acme' } }
        await next()
      },
    })
    const tenants: unknown[] = []
    await pricing(kit, ({ metadata }) => {
      tenants.push(metadata.tenant)
      return { price: 1, at }
    })
    await kit.bus.request(QuoteAsked, { sku: 'a' })
    expect(tenants).toEqual(['acme'])
  })
})

test('a request gets its reply when middleware gives its message another id', async () => {
  await using kit = await setUp()
  const seen: string[] = []
  kit.bus.use({
    send: async (context, next) => {
      context.options = { ...context.options, id: 'of-the-middleware' }
      await next()
    },
  })
  await pricing(kit, ({ id }) => {
    seen.push(id)
    return { price: 1, at }
  })
  const { price } = await kit.bus.request(QuoteAsked, { sku: 'a' }, { id: 'mine / 1' })
  expect([price, seen]).toEqual([1, ['of-the-middleware']])
})

test('a request whose reply address a middleware throws away says so, instead of waiting for a reply', async () => {
  await using kit = await setUp()
  kit.bus.use({
    send: async (context, next) => {
      context.options = { metadata: { tenant: 'acme' } }
      await next()
    },
  })
  const error = await failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))
  expect(error.message).toMatch(/middleware replaced the options.*spread them/)
})

test('batches and pull loops take requests without replying, and their failures are not told', async () => {
  await using kit = await createTestBus()
  const shared = defineTopic('shared', { groups: ['batches', 'pulls', 'replies'] })
  const Asked = defineMessage(shared, 'asked', { schema: z.object({}), reply: z.number() })
  const consumer = kit.bus.consumer('batches', { retry: { attempts: 1 } })
  await consumer
    .onBatch(Asked, { size: 1 }, () => {
      throw new Error('not stored')
    })
    .start()
  const pulls = kit.bus.receive(Asked, { group: 'pulls' })
  const pulled = pulls.next()
  const first = failureOf(kit.bus.request(Asked, {}, { timeout: '1m' }))
  const { value } = await pulled
  await value?.deadLetter('not wanted')
  await kit.idle()
  expect((await kit.bus.group(shared, 'batches').stats()).dead).toBe(1)
  await kit.advance('1m')
  expect((await first).code).toBe('timeout')
  await pulls.return?.()
})

test('requests on an ordered topic keep their reply address through backoffs', async () => {
  const ordered = defineTopic('ordered', { ordered: true, groups: ['pricing'] })
  const Asked = defineMessage(ordered, 'asked', { schema: z.string(), key: (key) => key, reply: z.number() })
  await using kit = await createTestBus({ topics: [ordered] })
  await kit.bus
    .consumer('pricing')
    .on(Asked, (_, { attempt }) => {
      if (attempt < 3) throw new Error('busy')
      return attempt
    })
    .start()
  const reply = kit.bus.request(Asked, 'k')
  await kit.advance('25s')
  expect(await reply).toBe(3)
})

describe('the reply', () => {
  test('comes from the attempt that succeeds', async () => {
    await using kit = await setUp()
    await pricing(kit, (_, { attempt }) => {
      if (attempt === 1) throw new Error('busy')
      return { price: attempt, at }
    })
    const reply = kit.bus.request(QuoteAsked, { sku: 'a' })
    await kit.advance('10s')
    expect((await reply).price).toBe(2)
  })

  test('is sent before the request is acked, and once its effect is marked', async () => {
    await using kit = await setUp()
    const steps: string[] = []
    const store = memoryIdempotencyStore({ clock: kit.clock })
    const telling: typeof store = {
      ...store,
      begin: (...all) => store.begin(...all),
      extend: (...all) => store.extend(...all),
      abandon: (...all) => store.abandon(...all),
      complete: async (...all) => {
        steps.push('marked')
        await store.complete(...all)
      },
    }
    kit.bus.on('handled', () => steps.push('acked'))
    const consumer = kit.bus.consumer('pricing', { idempotency: telling })
    await consumer.on(QuoteAsked, () => ({ price: 1, at })).start()
    await kit.bus.request(QuoteAsked, { sku: 'a' })
    steps.push('replied')
    await kit.idle()
    expect(steps.indexOf('marked')).toBe(0)
    expect(steps).toContain('acked')
  })

  test('of a second group is ignored, and a group without a reply says nothing', async () => {
    await using kit = await createTestBus()
    const shared = defineTopic('shared', { groups: ['one', 'two', 'audit'] })
    const Asked = defineMessage(shared, 'asked', { schema: z.object({}), reply: z.number() })
    const audit = kit.bus.consumer('audit', { retry: { attempts: 1 } }).on(shared, '#', () => {
      throw new Error('the disk is full')
    })
    await audit.start()
    for (const group of ['one', 'two'] as const) {
      await kit.bus
        .consumer(group)
        .on(Asked, () => 7)
        .start()
    }
    expect(await kit.bus.request(Asked, {})).toBe(7)
    await kit.idle()
    expect((await kit.bus.health()).status).toBe('up')
  })

  test('that does not fit its schema gives the request up', async () => {
    await using kit = await setUp()
    // @ts-expect-error: what a handler without types can do
    await pricing(kit, () => ({ price: 'cheap' }))
    const error = await failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))
    expect(error).toMatchObject({ code: 'request-failed', reason: 'invalid-reply', group: 'pricing' })
    expect(error.message).toMatch(/price: /)
    expect((await kit.bus.group(quotes, 'pricing').stats()).dead).toBe(1)
  })

  test('that is too large gives the request up', async () => {
    await using kit = await createTestBus({ topics: [quotes] })
    const Big = defineMessage(quotes, 'big', { schema: z.object({}), reply: z.string() })
    await kit.bus
      .consumer('pricing')
      .on(Big, () => 'x'.repeat(kit.bus.capabilities.maxMessageBytes))
      .start()
    const error = await failureOf(kit.bus.request(Big, {}))
    expect(error).toMatchObject({ code: 'request-failed', reason: 'reply-not-sent' })
    expect(error.message).toMatch(/but the broker takes at most/)
  })

  test('that JSON cannot carry gives the request up', async () => {
    await using kit = await createTestBus({ topics: [quotes] })
    const Odd = defineMessage(quotes, 'odd', { schema: z.object({}), reply: z.unknown() })
    await kit.bus
      .consumer('pricing')
      .on(Odd, () => new Map())
      .start()
    expect(await failureOf(kit.bus.request(Odd, {}))).toMatchObject({ reason: 'reply-not-sent' })
  })

  test('that a schema cannot even look at gives the request up here', async () => {
    await using kit = await createTestBus({ topics: [quotes] })
    let calls = 0
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'ours',
        validate: (value: unknown) => {
          calls += 1
          // The handler's side passes; nothing can be read of what is thrown on this side.
          if (calls > 1) throw Object.create(null)
          return { value }
        },
      },
    }
    const Odd = defineMessage(quotes, 'odd', { schema: z.object({}), reply: schema })
    await kit.bus
      .consumer('pricing')
      .on(Odd, () => 1)
      .start()
    const error = await failureOf(kit.bus.request(Odd, {}))
    expect(error).toMatchObject({ code: 'request-failed', reason: 'invalid-reply' })
  })

  test('goes through the stages of the request', async () => {
    const flips: string[] = []
    const flip: Stage = {
      name: 'flip',
      apply: async (body, { type }) => {
        flips.push(type.replace(/\..*/, ''))
        return { body: body.map((byte) => byte ^ 255) }
      },
      undo: async (body) => body.map((byte) => byte ^ 255),
    }
    await using kit = await createTestBus({ topics: [quotes] })
    const Secret = defineMessage(quotes, 'secret', { schema: z.string(), reply: z.string(), stages: [flip] })
    await kit.bus
      .consumer('pricing')
      .on(Secret, ({ data }) => data.toUpperCase())
      .start()
    expect(await kit.bus.request(Secret, 'psst')).toBe('PSST')
    expect(flips).toEqual(['secret', 'reply'])
  })

  test('finds its way whatever the codec of the bus', async () => {
    await using bus = await connect({
      url: 'memory:',
      codec: {
        name: 'text',
        encode: ({ data }) => ({ body: Buffer.from(JSON.stringify(data)), contentType: 'text/x' }),
        decode: ({ body, contentType }) =>
          contentType === 'text/x' ? { data: JSON.parse(Buffer.from(body).toString()) } : undefined,
      },
      topics: [quotes],
    })
    await pricing({ bus }, () => ({ price: 5, at }))
    expect((await bus.request(QuoteAsked, { sku: 'a' })).price).toBe(5)
  })
})

describe('a requester is told', () => {
  test.each([
    ['attempts-exhausted', 'no stock', () => new Error('no stock')],
    ['permanent', 'never', () => new PermanentError('never')],
    ['skipped', 'not ours', () => new SkipMessage('not ours')],
    ['attempts-exhausted', 'odd', () => 'odd'],
    ['attempts-exhausted', '{"no":"error"}', () => ({ no: 'error' })],
    ['attempts-exhausted', 'Thrown', () => Object.assign(new Error('x'), { name: 7 })],
    ['attempts-exhausted', 'Thrown', () => undefined],
  ])('that its request was given up: %s, %s', async (reason, text, thrown) => {
    await using kit = await setUp()
    await pricing(kit, () => {
      throw thrown()
    })
    const failing = failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))
    await kit.advance('10s')
    const error = await failing
    expect(error).toBeInstanceOf(RequestError)
    expect(error).toMatchObject({ code: 'request-failed', reason, group: 'pricing', retryable: false })
    expect(error.message).toContain(text)
  })

  test('of data that its handlers refuse, and of bodies they cannot read', async () => {
    await using kit = await setUp()
    const Stricter = defineMessage(quotes, 'quote.asked', {
      schema: z.object({ sku: z.string().min(5) }),
      reply: z.object({ price: z.number(), at: z.string() }),
    })
    await kit.bus
      .consumer('pricing')
      .on(Stricter, () => ({ price: 1, at }))
      .start()
    expect(await failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))).toMatchObject({
      reason: 'invalid-data',
    })
    const hidden: Stage = { name: 'hide', apply: async (body) => ({ body }), undo: async () => undefined }
    const Hidden = defineMessage(quotes, 'quote.asked', {
      schema: z.object({ sku: z.string() }),
      reply: z.number(),
      stages: [hidden],
    })
    await using other = await connect({ url: 'memory:', console: false })
    await using kept = await connect({ url: 'memory:shared', console: false, topics: [quotes] })
    await using asking = await connect({ url: 'memory:shared', console: false })
    await pricing({ bus: kept }, () => ({ price: 1, at }))
    expect(await failureOf(asking.request(Hidden, { sku: 'abcdef' }))).toMatchObject({
      reason: 'undecodable',
    })
    await other.close()
  })

  test('of a skip that cannot be read', async () => {
    await using kit = await setUp()
    await pricing(kit, () => {
      const odd = new SkipMessage('no')
      const get = () => {
        throw new Error('it has no name')
      }
      throw Object.defineProperty(odd, 'name', { get })
    })
    const error = await failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))
    expect(error).toMatchObject({ code: 'request-failed', reason: 'skipped' })
  })

  test('of a type that nobody handles any longer', async () => {
    await using kit = await setUp()
    const consumer = await pricing(kit, () => ({ price: 1, at }))
    await consumer.stop()
    const left = kit.bus.consumer('pricing', { unhandled: 'dead-letter' }).on(Pinged, () => undefined)
    await left.start()
    expect(await failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))).toMatchObject({ reason: 'unhandled' })
  })

  test('that it expired before its time was over', async () => {
    await using kit = await setUp()
    const consumer = kit.bus.consumer('pricing', { concurrency: 1 })
    const gate = Promise.withResolvers<void>()
    await consumer
      .on(QuoteAsked, async () => {
        await gate.promise
        return { price: 1, at }
      })
      .start()
    const first = kit.bus.request(QuoteAsked, { sku: 'a' })
    const second = failureOf(kit.bus.request(QuoteAsked, { sku: 'b' }, { expiresIn: '1s', timeout: '1m' }))
    await kit.advance('2s')
    gate.resolve()
    await first
    // By the clock of those who handle it, it is not waited for any longer.
    await kit.advance('1m')
    expect((await second).code).toBe('timeout')
  })
})

describe('a request without a reply', () => {
  test('times out, says what may be the cause, and is not begun any more', async () => {
    await using kit = await setUp()
    const failing = failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }, { timeout: '5s' }))
    await kit.advance('5s')
    const error = await failing
    expect(error).toMatchObject({ code: 'timeout', fate: 'unknown', retryable: true })
    expect(error.message).toMatch(
      /quote.asked .* no reply in time.*Nobody may be there.*version that does not/,
    )
    let calls = 0
    await pricing(kit, () => {
      calls += 1
      return { price: 1, at }
    })
    await kit.idle()
    expect(calls).toBe(0)
  })

  test('from a handler whose definition has none times out', async () => {
    await using kit = await setUp()
    const Older = defineMessage(quotes, 'quote.asked', { schema: z.object({ sku: z.string() }) })
    await kit.bus
      .consumer('pricing')
      .on(Older, () => ({ price: 1, at }))
      .start()
    const failing = failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }, { timeout: '5s' }))
    await kit.advance('5s')
    expect((await failing).code).toBe('timeout')
  })

  test('is ended by its signal, before and after it was sent', async () => {
    await using kit = await setUp()
    const early = failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }, { signal: AbortSignal.abort() }))
    expect(await early).toMatchObject({ code: 'aborted', fate: 'not-sent' })
    const controller = new AbortController()
    const late = failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }, { signal: controller.signal }))
    await kit.idle()
    controller.abort()
    expect(await late).toMatchObject({ code: 'aborted', fate: 'unknown' })
  })

  test('is rejected when its bus closes, and none is accepted afterwards', async () => {
    const kit = await setUp()
    const failing = failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))
    await kit.idle()
    await kit.bus.close()
    expect(await failing).toMatchObject({ code: 'closed', fate: 'unknown' })
    expect((await failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))).code).toBe('closed')
  })
})

describe('while the bus closes', () => {
  test('handlers that are drained may still request, first requests included', async () => {
    const kit = await setUp()
    const Wanted = defineMessage(quotes, 'wanted', { schema: z.object({}) })
    await using helper = await connect({ url: 'memory:talk', console: false, topics: [quotes] })
    await using bus = await connect({ url: 'memory:talk', console: false })
    await pricing({ bus: helper }, () => ({ price: 3, at }))
    const begun = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    let price = 0
    await bus
      .consumer('asking', { allowUndeclaredGroup: true })
      .on(Wanted, async () => {
        begun.resolve()
        await gate.promise
        price = (await bus.request(QuoteAsked, { sku: 'a' })).price
      })
      .start()
    await bus.producer().send(Wanted, {})
    await begun.promise
    const closed = bus.close()
    gate.resolve()
    await closed
    expect(price).toBe(3)
    await kit.bus.close()
  })

  test('a handler that is drained still replies', async () => {
    await using asking = await connect({ url: 'memory:drain', console: false, topics: [quotes] })
    const bus = await connect({ url: 'memory:drain', console: false })
    const begun = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    await pricing({ bus }, async () => {
      begun.resolve()
      await gate.promise
      return { price: 4, at }
    })
    const reply = asking.request(QuoteAsked, { sku: 'a' })
    await begun.promise
    const closed = bus.close()
    gate.resolve()
    expect((await reply).price).toBe(4)
    await closed
  })
})

describe('the inbox', () => {
  const inboxOf = async (bus: Bus) => {
    const all = (await bus.health()).consumers
    return all.filter(({ topic }) => topic === 'waybill-replies')
  }

  test('is made with the first request, one for all, and goes with the bus', async () => {
    const kit = await setUp()
    await pricing(kit, () => ({ price: 1, at }))
    expect(await inboxOf(kit.bus)).toEqual([])
    await Promise.all(Array.from({ length: 100 }, () => kit.bus.request(QuoteAsked, { sku: 'a' })))
    const { broker } = kit.bus.native('memory')
    expect(instances(broker)).toBe(1)
    expect(await inboxOf(kit.bus)).toMatchObject([{ state: 'running', group: 'replies' }])
    await kit.bus.close()
    expect(await inboxOf(kit.bus)).toEqual([])
    expect(instances(broker)).toBe(0)
  })

  test('gives two buses their own replies', async () => {
    await using one = await connect({ url: 'memory:two', console: false, topics: [quotes] })
    await using two = await connect({ url: 'memory:two', console: false })
    await pricing({ bus: one }, ({ data }) => ({ price: Number(data.sku), at }))
    const asked = [one, two].flatMap((bus, side) =>
      Array.from({ length: 50 }, async (_, index) => {
        const price = side * 1000 + index
        return (await bus.request(QuoteAsked, { sku: String(price) })).price === price
      }),
    )
    expect(new Set(await Promise.all(asked))).toEqual(new Set([true]))
  })

  test('takes no notice of strangers, duplicates and what is too late', async () => {
    await using kit = await setUp()
    const gate = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<string>()
    await pricing(kit, async ({ id }) => {
      asked.resolve(id)
      await gate.promise
      return { price: 1, at }
    })
    const reply = kit.bus.request(QuoteAsked, { sku: 'a' })
    const id = await asked.promise
    const inbox = kit.bus.native('memory')
    const replies = defineTopic('waybill-replies')
    const to = inboxTypeOf(kit)
    const stranger = defineMessage(replies, to, { schema: z.unknown() })
    const producer = kit.bus.producer()
    await producer.send(stranger, { price: 99, at }, { causationId: 'another' })
    await producer.send(stranger, { price: 99, at }, { causationId: id })
    await producer.send(stranger, { no: 'reason' }, { causationId: id, metadata: { outcome: 'failed' } })
    await producer.send(stranger, undefined, { metadata: { outcome: 'replied' } })
    inbox.publishRaw('waybill-replies', { body: Buffer.from('?'), contentType: 'text/plain', headers: {} })
    await settle()
    gate.resolve()
    expect((await reply).price).toBe(1)
    await producer.send(stranger, { price: 99, at }, { causationId: id, metadata: { outcome: 'replied' } })
    await kit.idle()
    expect((await kit.bus.health()).status).toBe('up')
  })

  test('that is gone with its bus troubles nobody who replies to it', async () => {
    await using bus = await connect({ url: 'memory:gone', console: false, topics: [quotes] })
    const asking = await connect({ url: 'memory:gone', console: false })
    const failures: unknown[] = []
    bus.on('failure', (failure) => failures.push(failure))
    const begun = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const handled = new Promise<void>((resolve) => bus.on('handled', () => resolve()))
    await pricing({ bus }, async () => {
      begun.resolve()
      await gate.promise
      return { price: 1, at }
    })
    const failing = failureOf(asking.request(QuoteAsked, { sku: 'a' }))
    await begun.promise
    await asking.close()
    expect(await failing).toMatchObject({ code: 'closed', fate: 'unknown' })
    gate.resolve()
    await handled
    expect(failures).toEqual([])
    expect(await bus.group(quotes, 'pricing').stats()).toMatchObject({ waiting: 0, dead: 0 })
  })

  test('is not part of the context of the handler that happens to ask first', async () => {
    await using kit = await setUp()
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const reply = z.object({ price: z.number(), at: z.string() }).transform((whole) => {
      seen.push(storage.getStore())
      return whole
    })
    const Asked = defineMessage(quotes, 'quote.asked', { schema: z.object({ sku: z.string() }), reply })
    await pricing(kit, () => ({ price: 1, at }))
    await storage.run('first', () => kit.bus.request(Asked, { sku: 'a' }))
    expect(seen.at(-1)).toBeUndefined()
  })

  test('that the broker refuses fails its requests, and is asked for again', async () => {
    let refusals = 1
    const subscribe = async () => {
      refusals -= 1
      if (refusals >= 0) throw new MessagingError('access-denied', 'no right to read waybill-replies')
      return new StubSubscription()
    }
    const { bus, clock } = await stubBus(stubDriver({ subscribe }))
    const first = await failureOf(bus.request(QuoteAsked, { sku: 'a' }))
    expect(first.code).toBe('access-denied')
    const second = failureOf(bus.request(QuoteAsked, { sku: 'a' }, { timeout: '5s' }))
    await clock.advance('5s')
    expect(await second).toMatchObject({ code: 'timeout', fate: 'unknown' })
    await bus.close()
  })
})

test('ten thousand requests cost one subscription, and time out together', async () => {
  await using kit = await setUp()
  const failing = Array.from({ length: 10_000 }, () =>
    failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }, { timeout: '5s' })),
  )
  await settle()
  await kit.advance('5s')
  const codes = (await Promise.all(failing)).map(({ code }) => code)
  expect(codes.filter((code) => code === 'timeout')).toHaveLength(10_000)
})

test('replies may travel on another topic, which may not be ordered', async () => {
  const replyTopic = defineTopic('answers')
  await using bus = await connect({ url: 'memory:', replyTopic, topics: [quotes] })
  await pricing({ bus }, () => ({ price: 1, at }))
  await bus.request(QuoteAsked, { sku: 'a' })
  expect((await bus.health()).consumers.map(({ topic }) => topic)).toContain('answers')
  const ordered = defineTopic('answers', { ordered: true })
  await expect(connect({ url: 'memory:', replyTopic: ordered })).rejects.toThrow(
    /replyTopic: replies have no key/,
  )
})

test('a replayed request replies to nobody', async () => {
  await using kit = await setUp()
  let failing = true
  let calls = 0
  await pricing(kit, () => {
    calls += 1
    if (failing) throw new PermanentError('not now')
    return { price: 1, at }
  })
  expect((await failureOf(kit.bus.request(QuoteAsked, { sku: 'a' }))).code).toBe('request-failed')
  failing = false
  await kit.bus.group(quotes, 'pricing').deadLetters.replayAll()
  await kit.idle()
  expect(calls).toBe(2)
})

function inboxTypeOf({ bus }: TestBus): string {
  const [request] = bus.native('memory').broker.topics.get('quotes')?.since(0) ?? []
  return `reply.${request?.headers['waybill-reply-to']?.split('/')[0]}`
}

function instances({ topics }: MemoryNative['broker']): number {
  return topics.get('waybill-replies')?.instances.size ?? 0
}
