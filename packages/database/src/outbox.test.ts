import { connect, defineMessage, defineTopic, InvalidMessageError, type Message } from '@waybill/core'
import { json } from '@waybill/core/codecs'
import type { LaterOptions } from '@waybill/core/outbox'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Database } from './database.ts'
import { databases } from './databases.fixture.ts'
import type { Transaction } from './transaction.ts'

const schema = z.object({ n: z.number(), note: z.string().default('none') })
const plain = defineMessage(defineTopic('plain', { groups: ['all'] }), 'plain.placed', { schema })
const ordered = defineMessage(defineTopic('orders', { ordered: true, groups: ['all'] }), 'order.placed', {
  schema,
  key: ({ n }) => `k-${n % 3}`,
})

const rowsOf = (database: Database, columns = '*') =>
  database.query<Record<string, unknown>>(
    `SELECT ${columns} FROM ${database.dialect.table('outbox')} ORDER BY position`,
  )

const poll = <Value>(value: () => Value | Promise<Value>) =>
  expect.poll(value, { timeout: 20_000, interval: 20 })

describe.each(databases())('an outbox on $name', ({ open, ready }) => {
  test('stores a message with the change that it tells of, or neither', async () => {
    const database = await ready()
    const outbox = database.outbox({ source: 'checkout' })
    const message = await database.transaction((transaction) =>
      outbox.send(transaction, ordered, { n: 1 }, { id: 'm-1', metadata: { tenant: 'acme' } }),
    )
    expect(message).toMatchObject({ id: 'm-1', key: 'k-1', data: { n: 1, note: 'none' }, version: 1 })
    expect(message.metadata).toEqual({ source: 'checkout', tenant: 'acme' })
    const failing = database.transaction(async (transaction) => {
      await outbox.send(transaction, ordered, { n: 2 })
      throw new RangeError('no funds')
    })
    await expect(failing).rejects.toThrow(RangeError)
    expect(await rowsOf(database, 'topic, type, id, key, source, data, state')).toEqual([
      {
        ...{ topic: 'orders', type: 'order.placed', id: 'm-1', key: 'k-1', source: 'checkout' },
        ...{ data: '{"n":1}', state: 'waiting' },
      },
    ])
  })

  test('refuses what send would refuse, and stores nothing', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const send = (data: unknown, options?: object) =>
      database.transaction((transaction) => outbox.send(transaction, plain, data as { n: number }, options))
    await expect(send({ n: 'one' }, { priority: 10 })).rejects.toThrow(/options.priority: .*\n.*data.n: /)
    await expect(send({ n: 1 }, { timeout: '1s' })).rejects.toThrow(
      'options.timeout: is for a send that waits',
    )
    await expect(send({ n: 1 }, { id: 'a\0b' })).rejects.toThrow('id: has the character NUL')
    await expect(send({ n: 1, note: 'x', at: () => 1 })).rejects.toThrow(
      'data.at: a function cannot be written',
    )
    await expect(
      database.transaction((transaction) => outbox.send(transaction, undefined as never, { n: 1 } as never)),
    ).rejects.toThrow('expected a message made by defineMessage()')
    expect(await rowsOf(database)).toEqual([])
  })

  test('names the problems of a batch by index, and stores nothing of it', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const batch = database.transaction((transaction) =>
      outbox.sendAll(transaction, [
        { definition: plain, data: { n: 1 } },
        { definition: ordered, data: { n: 'two' as never } },
        { definition: plain, data: { n: 3 }, options: { priority: 99 } },
      ]),
    )
    await expect(batch).rejects.toBeInstanceOf(InvalidMessageError)
    await expect(batch).rejects.toThrow(/1\.data\.n: .*\n.*2\.options\.priority: /)
    await expect(
      database.transaction((transaction) => outbox.sendAll(transaction, {} as never)),
    ).rejects.toThrow('expected an array')
    expect(await rowsOf(database)).toEqual([])
  })

  test('stores a batch in one round trip, in its order', async () => {
    const database = await ready()
    const outbox = database.outbox()
    await database.transaction((transaction) => outbox.send(transaction, plain, { n: -1 }))
    let queries = 0
    const messages = await database.transaction((transaction) => {
      const counting: Transaction = {
        query: (sql, parameters) => {
          queries += 1
          return transaction.query(sql, parameters)
        },
      }
      return outbox.sendAll(
        counting,
        Array.from({ length: 200 }, (_, n) => ({ definition: n % 2 === 0 ? plain : ordered, data: { n } })),
      )
    })
    expect(queries).toBe(1)
    const stored = await rowsOf(database, 'id')
    expect(stored.slice(1).map(({ id }) => id)).toEqual(messages.map(({ id }) => id))
    expect(await database.transaction((transaction) => outbox.sendAll(transaction, []))).toEqual([])
  })

  test('keeps bytes, no data, and any text', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const any = defineMessage(defineTopic('any', { groups: ['all'] }), 'any.thing', { schema: z.any() })
    const data = [
      Buffer.from([0, 255, 10]),
      undefined,
      'a\0b \ud83d\ude42 " \\ \u2028',
      { deep: [null, 1.5, ''] },
    ]
    await database.transaction((transaction) =>
      outbox.sendAll(
        transaction,
        data.map((each) => ({ definition: any, data: each })),
      ),
    )
    for (const each of data)
      await database.transaction((transaction) => outbox.send(transaction, any, each, { id: 'i \u2028 "' }))
    await using bus = await connect({ url: 'memory:', console: false })
    const got: unknown[] = []
    await bus
      .consumer('all', { concurrency: 1 })
      .on(any, ({ data: received }) => void got.push(received))
      .start()
    await using relay = outbox.relay(bus)
    await relay.start()
    await poll(() => got.length).toBe(8)
    const texts = (values: readonly unknown[]) =>
      values
        .map((value) =>
          value instanceof Uint8Array ? Buffer.from(value).toString('hex') : JSON.stringify(value),
        )
        .sort()
    expect(texts(got)).toEqual(texts([...data, ...data]))
  })

  test('sends each message as it was when it was stored', async () => {
    const database = await ready()
    const outbox = database.outbox({ source: 'checkout' })
    const options: LaterOptions = {
      ...{ correlationId: 'c-1', causationId: 'd-1', expiresIn: '1h', metadata: { tenant: 'acme' } },
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    }
    const stored = await database.transaction((transaction) =>
      outbox.send(transaction, ordered, { n: 4 }, options),
    )
    await using bus = await connect({ url: 'memory:', console: false })
    const got: Message[] = []
    await bus
      .consumer('all')
      .on(ordered, (message) => void got.push(message))
      .start()
    await using relay = outbox.relay(bus)
    await relay.start()
    await poll(() => got.length).toBe(1)
    expect(got[0]).toEqual(stored)
    await poll(() => rowsOf(database)).toEqual([])
  })

  test('carries on correlation and cause of the message being handled', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const inbox = database.inbox()
    await using bus = await connect({ url: 'memory:', console: false })
    let handled = 0
    await bus
      .consumer('all')
      .on(plain, async ({ data }, context) => {
        await inbox.once(context, (transaction) => outbox.send(transaction, ordered, data))
        handled += 1
      })
      .start()
    const { id } = await bus.producer().send(plain, { n: 1 }, { correlationId: 'c-9' })
    await poll(() => handled).toBe(1)
    const [row] = await rowsOf(database, 'options')
    expect(JSON.parse(String(row?.options))).toEqual({ correlationId: 'c-9', causationId: id })
  })

  test('sends what has a format of its own only where its definition is known', async () => {
    const database = await ready()
    const topic = defineTopic('foreign', { groups: ['all'] })
    const foreign = defineMessage(topic, 'foreign.placed', {
      schema,
      codec: json({ type: { field: 'kind' } }),
    })
    await database.transaction((transaction) => database.outbox().send(transaction, foreign, { n: 1 }))
    await using bus = await connect({ url: 'memory:', console: false })
    const got: unknown[] = []
    await bus
      .consumer('all')
      .on(foreign, ({ data }) => void got.push(data))
      .start()
    const strange = database.outbox().relay(bus, { pollInterval: 10 })
    const held = new Promise((resolve) => strange.on('held', resolve))
    await strange.start()
    expect(await held).toMatchObject({ error: { message: expect.stringContaining('definitions') } })
    expect(strange.health()).toMatchObject({ status: 'degraded' })
    await strange.stop()
    expect(got).toEqual([])
    await using relay = database.outbox({ definitions: [foreign] }).relay(bus)
    await relay.start()
    await poll(() => got).toEqual([{ n: 1, note: 'none' }])
  })

  test('wakes who waits for messages, even if that began between storing and commit', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const calls = { before: 0, between: 0 }
    const forget = [database.onNotification(() => calls.before++)]
    await database.transaction((transaction) => outbox.send(transaction, plain, { n: 1 }))
    await poll(() => calls.before).toBeGreaterThan(0)
    forget[0]?.()
    await database.transaction(async (transaction) => {
      await outbox.send(transaction, plain, { n: 2 })
      forget.push(database.onNotification(() => calls.between++))
    })
    await poll(() => calls.between).toBeGreaterThan(0)
    forget[1]?.()
  })

  test('is told in one sentence that its tables are missing', async () => {
    const database = open()
    const outbox = database.outbox()
    const expected = {
      code: 'topology-missing',
      message: expect.stringContaining('Run database.migrate()'),
    }
    const send = database.transaction((transaction) => outbox.send(transaction, plain, { n: 1 }))
    await expect(send).rejects.toMatchObject(expected)
    await expect(outbox.stats()).rejects.toMatchObject(expected)
    await using bus = await connect({ url: 'memory:', console: false })
    await expect(outbox.relay(bus).start()).rejects.toMatchObject(expected)
  })

  test('refuses a transaction that has ended', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const ended = await database.transaction(async (transaction) => ({ transaction }))
    await expect(outbox.send(ended.transaction, plain, { n: 1 })).rejects.toMatchObject({ code: 'closed' })
    expect(await rowsOf(database)).toEqual([])
  })

  test('refuses wrong options, all of them', async () => {
    const database = open()
    expect(() => database.outbox({ source: 'a b', definitions: 1 } as never)).toThrow(
      /source: .*\n.*definitions: /,
    )
    expect(() => database.outbox({ definitions: [undefined as never] })).toThrow('definitions.0')
    const outbox = database.outbox()
    expect(() => outbox.relay({} as never)).toThrow('bus: expected a bus')
    await using bus = await connect({ url: 'memory:', console: false })
    expect(() => outbox.relay(bus, { batchSize: 0, lanes: 99, lease: 1 })).toThrow(
      /batchSize: .*\n.*lanes: .*\n.*lease: /,
    )
    expect(() => outbox.relay(bus).on('sent' as never, () => {})).toThrow('there is no such event')
    await expect(outbox.retryParked(['x'])).rejects.toThrow('positions of parked messages')
    await expect(outbox.parked({ limit: 0 })).rejects.toThrow('limit')
  })
})
