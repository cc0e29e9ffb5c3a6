import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { DeadLetter } from '../dead-letters/dead-letter.ts'
import { stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import { MessagingError } from '../lib/errors.ts'
import { fixed } from '../lib/retry.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus, type TestBus } from '../testing.ts'
import type { ReceivedMessage } from './received-message.ts'

const orders = defineTopic('orders', { groups: ['shipping'] })
const ledger = defineTopic('ledger', { ordered: true, groups: ['shipping'] })
const schema = z.object({ n: z.number() })
const OrderCreated = defineMessage(orders, 'order.created', { schema })
const OrderPaid = defineMessage(orders, 'order.paid', { schema })
const Booked = defineMessage(ledger, 'booked', { schema, key: () => 'k' })

const setUp = () => createTestBus({ topics: [orders, ledger] })

async function send(test: TestBus, ...numbers: number[]) {
  await test.bus.producer().sendBatch(
    OrderCreated,
    numbers.map((n) => ({ n })),
  )
}

const stats = (test: TestBus) => test.bus.group(orders, 'shipping').stats()

async function deadOf({ bus }: TestBus): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of bus.group(orders, 'shipping').deadLetters.list()) letters.push(letter)
  return letters
}

async function next<Data>(iterator: AsyncIterator<ReceivedMessage<Data>>): Promise<ReceivedMessage<Data>> {
  const { value, done } = await iterator.next()
  if (done) throw new Error('the loop has ended')
  return value
}

describe('a pulled message', () => {
  test('is acked once ack resolves', async () => {
    await using test = await setUp()
    await send(test, 1, 2)
    const seen: [number, number][] = []
    for await (const { message, attempt, ack } of test.bus.receive(OrderCreated, { group: 'shipping' })) {
      seen.push([message.data.n, attempt])
      await ack()
      if (seen.length === 2) break
    }
    expect(seen).toEqual([
      [1, 1],
      [2, 1],
    ])
    expect(await stats(test)).toMatchObject({ waiting: 0, inFlight: 0 })
  })

  test('comes back by the group’s policy after retry, or after the delay that is asked for', async () => {
    await using test = await setUp()
    await send(test, 1)
    const messages = test.bus.receive(OrderCreated, { group: 'shipping', retry: { backoff: fixed('1m') } })
    await (await next(messages)).retry()
    expect(await stats(test)).toMatchObject({ delayed: 1 })
    await test.advance('1m')
    const second = await next(messages)
    expect(second.attempt).toBe(2)
    await second.retry({ delay: '1h' })
    await test.advance('59m')
    expect(await stats(test)).toMatchObject({ delayed: 1 })
    await test.advance('1m')
    expect((await next(messages)).attempt).toBe(3)
    await messages.return?.()
  })

  test('goes to the dead letters when its attempts are used up', async () => {
    await using test = await setUp()
    await send(test, 1)
    for await (const delivery of test.bus.receive(OrderCreated, {
      group: 'shipping',
      retry: { attempts: 1 },
    })) {
      await delivery.retry()
      break
    }
    expect(await deadOf(test)).toMatchObject([{ reason: 'attempts-exhausted' }])
  })

  test('refuses a delay that is none, and is still there to be settled', async () => {
    await using test = await setUp()
    await send(test, 1)
    const messages = test.bus.receive(OrderCreated, { group: 'shipping' })
    const delivery = await next(messages)
    // @ts-expect-error: what a caller without types can do
    await expect(async () => delivery.retry({ delay: 'soon' })).rejects.toThrow(/delay: expected a duration/)
    await delivery.ack()
    expect(await stats(test)).toMatchObject({ waiting: 0, inFlight: 0, delayed: 0 })
    await messages.return?.()
  })

  test('goes to the dead letters with the reason it is given', async () => {
    await using test = await setUp()
    await send(test, 1)
    for await (const delivery of test.bus.receive(OrderCreated, { group: 'shipping' })) {
      await delivery.deadLetter('address does not exist')
      break
    }
    expect(await deadOf(test)).toMatchObject([
      { reason: 'address does not exist', error: undefined, attempts: 1 },
    ])
  })

  test('comes back at once after release, its attempt unchanged', async () => {
    await using test = await setUp()
    await send(test, 1)
    const messages = test.bus.receive(OrderCreated, { group: 'shipping' })
    await (await next(messages)).release()
    const again = await next(messages)
    expect([again.attempt, again.deliveries]).toEqual([1, 2])
    await messages.return?.()
  })

  test('on an ordered topic comes back before what follows it', async () => {
    await using test = await setUp()
    const producer = test.bus.producer()
    for (const n of [1, 2]) await producer.send(Booked, { n })
    const messages = test.bus.receive(Booked, { group: 'shipping' })
    await (await next(messages)).release()
    const seen: number[] = []
    for (let turn = 0; turn < 2; turn += 1) {
      const { message, ack } = await next(messages)
      seen.push(message.data.n)
      await ack()
    }
    expect(seen).toEqual([1, 2])
    await messages.return?.()
  })

  test('is settled by the first verdict: later ones have no effect', async () => {
    await using test = await setUp()
    await send(test, 1)
    for await (const delivery of test.bus.receive(OrderCreated, { group: 'shipping' })) {
      await delivery.ack()
      await delivery.ack()
      await delivery.deadLetter('too late')
      await delivery.retry()
      await delivery.release()
      break
    }
    expect(await stats(test)).toMatchObject({ waiting: 0, inFlight: 0, delayed: 0, dead: 0 })
  })

  test('does not block the loop on an ordered topic when it is to be tried again', async () => {
    await using test = await setUp()
    await test.bus.producer().send(Booked, { n: 1 })
    const messages = test.bus.receive(Booked, { group: 'shipping', retry: { backoff: fixed('1m') } })
    await (await next(messages)).retry()
    await test.advance('1m')
    const again = await next(messages)
    expect(again.attempt).toBe(2)
    await again.ack()
    expect(await test.bus.group(ledger, 'shipping').stats()).toMatchObject({ inFlight: 0 })
    await messages.return?.()
  })

  test('tells by its signal that it is lost; settling it then resolves and has no effect', async () => {
    await using test = await setUp()
    await send(test, 1)
    const options = { group: 'shipping', lease: '30s', maxLease: '1m' } as const
    const messages = test.bus.receive(OrderCreated, options)
    const delivery = await next(messages)
    const { signal } = delivery
    expect(signal.aborted).toBe(false)
    await test.advance('5m')
    expect(signal.aborted).toBe(true)
    await delivery.ack()
    const again = await next(messages)
    expect(again.deliveries).toBeGreaterThan(1)
    await again.ack()
    await messages.return?.()
  })

  test('that cannot be decoded never arrives: it is a dead letter, the next one comes', async () => {
    await using test = await setUp()
    const { publishRaw } = test.bus.native('memory')
    publishRaw('orders', { body: new TextEncoder().encode('{') })
    await send(test, 2)
    for await (const delivery of test.bus.receive(OrderCreated, { group: 'shipping' })) {
      expect(delivery.message.data).toEqual({ n: 2 })
      await delivery.ack()
      break
    }
    expect(await deadOf(test)).toMatchObject([{ reason: 'undecodable' }])
  })
})

describe('the loop', () => {
  test('holds no more in hand than its prefetch', async () => {
    await using test = await setUp()
    await send(test, 1, 2, 3, 4)
    const messages = test.bus.receive(OrderCreated, { group: 'shipping', prefetch: 2 })
    const first = await next(messages)
    expect(await stats(test)).toMatchObject({ inFlight: 2, waiting: 2 })
    await first.ack()
    await settle()
    expect(await stats(test)).toMatchObject({ inFlight: 2, waiting: 1 })
    await messages.return?.()
  })

  test('that is left gives back at once what is unsettled', async () => {
    await using test = await setUp()
    await send(test, 1, 2, 3)
    for await (const _ of test.bus.receive(OrderCreated, { group: 'shipping' })) break
    expect(await stats(test)).toMatchObject({ inFlight: 0, waiting: 3 })
    expect((await test.bus.health()).consumers).toEqual([])
  })

  test('that throws gives back what is unsettled too', async () => {
    await using test = await setUp()
    await send(test, 1, 2)
    const looping = async () => {
      for await (const _ of test.bus.receive(OrderCreated, { group: 'shipping' })) throw new Error('no')
    }
    await expect(looping()).rejects.toThrow('no')
    expect(await stats(test)).toMatchObject({ inFlight: 0, waiting: 2 })
  })

  test('that is left while it waits for a message ends at once', async () => {
    await using test = await setUp()
    const messages = test.bus.receive(OrderCreated, { group: 'shipping' })
    const waiting = messages.next()
    await settle()
    await messages.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect((await test.bus.health()).consumers).toEqual([])
  })

  test('ends when its signal fires, whether it waits, works or starts', async () => {
    await using test = await setUp()
    await send(test, 1)
    const controller = new AbortController()
    const seen: number[] = []
    const looping = async () => {
      const options = { group: 'shipping', signal: controller.signal } as const
      for await (const delivery of test.bus.receive(OrderCreated, options)) {
        seen.push(delivery.message.data.n)
        await delivery.ack()
      }
    }
    const ended = looping()
    await settle()
    controller.abort()
    await ended
    expect(seen).toEqual([1])
    await looping()
    expect(seen).toEqual([1])
  })

  test('ends when its signal fires while the broker does not answer', async () => {
    const { bus } = await stubBus(stubDriver({ subscribe: () => new Promise(() => {}) }))
    const controller = new AbortController()
    const messages = bus.receive(OrderCreated, { group: 'shipping', signal: controller.signal })
    const first = messages.next()
    await settle()
    controller.abort()
    const ended = await Promise.race([first, settle().then(() => 'still waiting')])
    expect(ended).toEqual({ done: true, value: undefined })
  })

  test('lets go of its signal when it has ended', async () => {
    await using test = await setUp()
    await send(test, 1)
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    for await (const _ of test.bus.receive(OrderCreated, { group: 'shipping', signal })) break
    expect(added).toHaveBeenCalledOnce()
    expect(removed).toHaveBeenCalledOnce()
  })

  test('rejects when it cannot start', async () => {
    const subscribe = () => Promise.reject(new MessagingError('access-denied', 'not yours'))
    const { bus } = await stubBus(stubDriver({ subscribe }))
    const messages = bus.receive(OrderCreated, { group: 'shipping' })
    await expect(messages.next()).rejects.toMatchObject({ code: 'access-denied' })
  })

  test('ends when the bus is closed, and what is in hand can be settled until then', async () => {
    await using test = await setUp()
    await send(test, 1)
    const seen: number[] = []
    let closing: Promise<void> | undefined
    for await (const delivery of test.bus.receive(OrderCreated, { group: 'shipping' })) {
      seen.push(delivery.message.data.n)
      closing = test.bus.close()
      await settle()
      await delivery.ack()
    }
    await closing
    expect(seen).toEqual([1])
  })

  test('cannot begin on a closed bus', async () => {
    await using test = await setUp()
    await test.bus.close()
    expect(() => test.bus.receive(OrderCreated, { group: 'shipping' })).toThrow(/bus is closed/)
  })

  test('refuses wrong options, naming none that the caller did not give', async () => {
    await using test = await setUp()
    const receive = (options: object) => () =>
      test.bus.receive(OrderCreated, { group: 'shipping', ...options })
    expect(receive({ prefetch: 0, lease: 1 })).toThrow(/\n {2}- prefetch: .*\n {2}- lease: [^\n]*$/)
    for (const name of ['concurrency', 'broadcast', 'idempotency', 'prefech']) {
      expect(receive({ [name]: undefined })).toThrow(`Unrecognized key: "${name}"`)
    }
  })
})

describe('the body of a pull loop', () => {
  test('is the cause of what it sends, message by message, and nothing is after the loop', async () => {
    await using test = await setUp()
    await send(test, 1, 2)
    const producer = test.bus.producer()
    const later: (() => void)[] = []
    const pulled: string[] = []
    const causes: unknown[] = []
    const audit = async () => {
      const { metadata } = await producer.send(OrderPaid, { n: 0 })
      causes.push(metadata.causationId)
    }
    for await (const delivery of test.bus.receive(OrderCreated, { group: 'shipping' })) {
      pulled.push(delivery.message.id)
      void new Promise<void>((resolve) => later.push(resolve)).then(audit)
      await audit()
      await delivery.ack()
      if (pulled.length === 2) break
    }
    for (const go of later) go()
    await test.idle()
    await audit()
    expect(causes).toEqual([...pulled, ...pulled, undefined])
  })

  test('keeps the causes of two loops over one iterator apart', async () => {
    await using test = await setUp()
    await send(test, 1, 2, 3, 4)
    const producer = test.bus.producer()
    const messages = test.bus.receive(OrderCreated, { group: 'shipping' })
    const pairs: [string, unknown][] = []
    const work = async () => {
      for (let turn = 0; turn < 2; turn += 1) {
        const { message, ack } = await next(messages)
        await settle()
        pairs.push([message.id, (await producer.send(OrderPaid, { n: 0 })).metadata.causationId])
        await ack()
      }
    }
    await Promise.all([work(), work()])
    await messages.return?.()
    expect(pairs).toHaveLength(4)
    for (const [id, cause] of pairs) expect(cause).toBe(id)
  })

  test('may send while the bus is closing, with a producer made there too', async () => {
    await using test = await setUp()
    await send(test, 1)
    let closed: Promise<void> | undefined
    for await (const delivery of test.bus.receive(OrderCreated, { group: 'shipping' })) {
      closed = test.bus.close()
      await test.bus.producer().send(OrderPaid, { n: 2 })
      await delivery.ack()
    }
    await closed
    expect(test.sentOf(OrderPaid)).toHaveLength(1)
  })
})
