import { setTimeout } from 'node:timers/promises'
import { connect, defineMessage, defineTopic, MessagingError } from '@waybill/core'
import { json } from '@waybill/core/codecs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Database } from '../database.ts'
import { databases } from '../databases.fixture.ts'
import type { Outbox } from '../outbox.ts'

const schema = z.object({ n: z.number() })
const plain = defineMessage(defineTopic('plain', { groups: ['all'] }), 'plain.placed', { schema })
const orders = defineTopic('orders', { ordered: true, groups: ['all'] })
const ordered = defineMessage(orders, 'order.placed', { schema, key: ({ n }) => `k-${n % 3}` })

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

const waiting = async (database: Database) => {
  const [row] = await database.query<{ count: number }>(
    `SELECT count(*) AS count FROM ${database.dialect.table('outbox')} WHERE state = 'waiting'`,
  )
  return Number(row?.count)
}

const fill = (database: Database, outbox: Outbox, count: number) =>
  database.transaction((transaction) =>
    outbox.sendAll(
      transaction,
      numbers(count).map((n) => ({ definition: ordered, data: { n } })),
    ),
  )

/** A bus, and what it got of the ordered topic, by key. */
async function openBus() {
  const bus = await connect({ url: 'memory:', console: false })
  const byKey = new Map<string | undefined, number[]>()
  const ids: string[] = []
  await bus
    .consumer('all', { concurrency: 10 })
    .on(ordered, ({ data, key, id }) => {
      ids.push(id)
      byKey.set(key, [...(byKey.get(key) ?? []), data.n])
    })
    .start()
  return { bus, byKey, ids }
}

const isSorted = (values: readonly number[]) =>
  values.every((value, index) => index === 0 || value > (values[index - 1] ?? 0))

const poll = <Value>(value: () => Value | Promise<Value>) =>
  expect.poll(value, { timeout: 20_000, interval: 20 })

describe.each(databases())('a relay on $name', ({ name, open, ready }) => {
  test('sends everything once, in the order of each key, in many batches', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey, ids } = await openBus()
    await using _ = bus
    await fill(database, outbox, 120)
    await using relay = outbox.relay(bus, { batchSize: 7 })
    let told = 0
    relay.on('relayed', ({ messages }) => {
      told += messages
    })
    await relay.start()
    await poll(() => ids.length).toBe(120)
    expect(new Set(ids).size).toBe(120)
    expect([...byKey.values()].every(isSorted)).toBe(true)
    await poll(() => waiting(database)).toBe(0)
    expect(await relay.stats()).toMatchObject({
      relayed: 120,
      waiting: 0,
      parked: 0,
      oldestAgeMs: 0,
      slots: 64,
    })
    expect(told).toBe(120)
    expect(relay.health()).toEqual({ status: 'up', error: undefined })
  })

  test('sends what a handler has written while its bus closes, and has stopped when it is closed', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const bus = await connect({ url: 'memory:', console: false })
    await using relay = outbox.relay(bus, { pollInterval: '1h' })
    await relay.start()
    const handling = Promise.withResolvers<void>()
    await bus
      .consumer('all')
      .on(plain, async () => {
        handling.resolve()
        await setTimeout(50)
        await fill(database, outbox, 30)
      })
      .start()
    await bus.producer().send(plain, { n: 1 })
    await handling.promise
    await bus.close()
    expect(await waiting(database)).toBe(0)
    expect(relay.health().status).toBe('down')
  })

  test('that is stopped while it starts leaves nothing behind', async () => {
    const database = await ready()
    const bus = await connect({ url: 'memory:', console: false })
    const relay = database.outbox().relay(bus)
    const starting = relay.start()
    const began = performance.now()
    await Promise.all([expect(starting).rejects.toMatchObject({ code: 'aborted' }), bus.close()])
    // It does not wait to be idle, which it never becomes.
    expect(performance.now() - began).toBeLessThan(5000)
    expect(relay.health().status).toBe('down')
    const owned = `SELECT slot FROM ${database.dialect.table('slots')} WHERE owner IS NOT NULL`
    expect(await database.query(owned)).toEqual([])
  })

  test('is woken by a commit, long before it would look', async () => {
    const id = `woken_${name.toLowerCase()}`
    const [database, other] = [open(id), open(id)]
    await database.migrate()
    const { bus, ids } = await openBus()
    await using _ = bus
    const outbox = database.outbox()
    await using relay = outbox.relay(bus, { pollInterval: '10m' })
    await relay.start()
    // One that comes while nothing happens, by the same object and, where there are notifications, by another.
    const senders = name === 'PGlite' ? [database, other, database, other] : [database, database]
    for (const [index, sender] of senders.entries()) {
      await setTimeout(20)
      await sender.transaction((transaction) => sender.outbox().send(transaction, ordered, { n: index }))
      await poll(() => ids.length).toBe(index + 1)
    }
  })

  test('looks by itself for what nobody woke it for', async () => {
    const database = await ready()
    const { bus, ids } = await openBus()
    await using _ = bus
    const outbox = database.outbox()
    await using relay = outbox.relay(bus, { pollInterval: 20 })
    await relay.start()
    const table = database.dialect.table('outbox')
    await database.query(
      `INSERT INTO ${table} (slot, topic, type, version, id, key, source, data, topic_options, sent_at)
VALUES (5, 'orders', 'order.placed', 1, 'by-hand', 'k', 'psql', '{"n":1}', '{"ordered":true,"partitions":8,"groups":["all"],"native":{},"ownFormat":false}', ${database.dialect.now})`,
    )
    await poll(() => ids).toEqual(['by-hand'])
  })

  test('sets aside what is refused for good, and goes on with its key', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey } = await openBus()
    await using _ = bus
    let isRefused = true
    bus.use({
      send: async ({ data }, next) => {
        if (isRefused && z.object({ n: z.literal(3) }).safeParse(data).success)
          throw new MessagingError('too-large', 'The message is above the limit', { fate: 'not-sent' })
        await next()
      },
    })
    await fill(database, outbox, 9)
    await using relay = outbox.relay(bus)
    const parked = new Promise((resolve) => relay.on('parked', resolve))
    await relay.start()
    expect(await parked).toMatchObject({ type: 'order.placed', key: 'k-0', error: { code: 'too-large' } })
    await poll(() => waiting(database)).toBe(0)
    expect(byKey.get('k-0')).toEqual([0, 6])
    const [message, ...others] = await outbox.parked()
    expect(others).toEqual([])
    expect(message).toMatchObject({
      ...{ topic: 'orders', key: 'k-0', tries: 1, error: expect.stringContaining('above the limit') },
    })
    expect(await relay.stats()).toMatchObject({ parked: 1, waiting: 0 })
    expect(await outbox.parked({ after: message?.position ?? '' })).toEqual([])
    isRefused = false
    expect(await outbox.retryParked([message?.position ?? ''])).toBe(1)
    await poll(() => byKey.get('k-0')).toEqual([0, 6, 3])
    expect(await outbox.discardParked('all')).toBe(0)
  })

  test('holds the key of a message that fails for now, and no other', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey } = await openBus()
    await using _ = bus
    let fails = true
    bus.use({
      send: async ({ data }, next) => {
        const { n } = schema.parse(data)
        if (fails && n === 3) throw new Error('the registry is away')
        await next()
      },
    })
    await using relay = outbox.relay(bus, { maxBackoff: 50, pollInterval: 10 })
    const held = new Promise((resolve) => relay.on('held', resolve))
    await relay.start()
    for (const n of numbers(12)) {
      await database.transaction((transaction) => outbox.send(transaction, ordered, { n }))
      if (n === 3) await held
    }
    await poll(() => [byKey.get('k-1'), byKey.get('k-2')]).toEqual([
      [1, 4, 7, 10],
      [2, 5, 8, 11],
    ])
    expect(byKey.get('k-0')).toEqual([0])
    expect(relay.health()).toMatchObject({
      status: 'degraded',
      error: { message: expect.stringContaining('registry') },
    })
    const [row] = await database.query<{ tries: number; error: string }>(
      `SELECT tries, error FROM ${database.dialect.table('outbox')} ORDER BY position LIMIT 1`,
    )
    expect(row?.tries).toBeGreaterThan(0)
    expect(row?.error).toContain('the registry is away')
    fails = false
    await poll(() => byKey.get('k-0')).toEqual([0, 3, 6, 9])
    await poll(() => relay.health().status).toBe('up')
  })

  test('sets a message aside that middleware throws on each time, and later ones of its key go on', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey } = await openBus()
    await using _ = bus
    bus.use({
      send: async ({ data }, next) => {
        if (schema.parse(data).n === 3) throw new TypeError('it has no currency')
        await next()
      },
    })
    await using relay = outbox.relay(bus, { maxBackoff: 10, pollInterval: 10, attempts: 3 })
    const held: string[] = []
    relay.on('held', ({ id }) => held.push(id))
    await fill(database, outbox, 12)
    await relay.start()
    await poll(() => byKey.get('k-0')).toEqual([0, 6, 9])
    expect(held).toHaveLength(2)
    const [parked] = await outbox.parked()
    expect(parked).toMatchObject({ tries: 3, error: expect.stringContaining('it has no currency') })
    expect(relay.health()).toEqual({ status: 'up', error: undefined })
  })

  test('does not start again beside what a stop has not waited for', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey } = await openBus()
    await using _ = bus
    const gate = Promise.withResolvers<void>()
    let begun = 0
    bus.use({
      send: async (_context, next) => {
        begun += 1
        await gate.promise
        await next()
      },
    })
    await fill(database, outbox, 30)
    await using relay = outbox.relay(bus)
    await relay.start()
    await poll(() => begun > 0).toBe(true)
    await expect(relay.stop({ timeout: 20 })).rejects.toMatchObject({ code: 'timeout' })
    await expect(relay.start()).rejects.toThrow(/still sends what was under way/)
    gate.resolve()
    await poll(() =>
      relay.start().then(
        () => true,
        () => false,
      ),
    ).toBe(true)
    await poll(() => waiting(database)).toBe(0)
    await poll(() => [...byKey.values()].flat().length).toBe(30)
    expect([...byKey.values()].every(isSorted)).toBe(true)
  })

  test('holds one key and no topic for what middleware throws', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey } = await openBus()
    await using _ = bus
    bus.use({
      send: async ({ data }, next) => {
        if (schema.parse(data).n === 0) throw new TypeError('it has no currency')
        await next()
      },
    })
    await using relay = outbox.relay(bus, { lanes: 1, maxBackoff: '10m', attempts: 10_000 })
    const held = new Promise<{ readonly delayMs: number }>((resolve) => {
      relay.on('held', (event) => {
        if (event.delayMs > 5000) resolve(event)
      })
    })
    await relay.start()
    await database.transaction((transaction) => outbox.send(transaction, ordered, { n: 0 }))
    await held
    await database.transaction((transaction) => outbox.send(transaction, ordered, { n: 1 }))
    await expect.poll(() => byKey.get('k-1'), { timeout: 3000 }).toEqual([1])
  })

  test('lets others of its topic go on while one message waits whose definition it does not have', async () => {
    const database = await ready()
    const codec = json({ type: { field: 'kind' } })
    const strange = defineMessage(orders, 'order.strange', { schema, key: () => 'k-0', codec })
    await database.transaction((transaction) => database.outbox().send(transaction, strange, { n: 0 }))
    const outbox = database.outbox()
    const { bus, byKey } = await openBus()
    await using _ = bus
    await using relay = outbox.relay(bus, { lanes: 1, maxBackoff: '10m' })
    const held = new Promise<void>((resolve) => {
      relay.on('held', ({ delayMs }) => {
        if (delayMs > 5000) resolve()
      })
    })
    await relay.start()
    await held
    await database.transaction((transaction) => outbox.send(transaction, ordered, { n: 1 }))
    await expect.poll(() => byKey.get('k-1'), { timeout: 3000 }).toEqual([1])
  })

  test('leaves what did not have its turn in time to the next batch, in its order', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey, ids } = await openBus()
    await using _ = bus
    bus.use({
      send: async (_context, next) => {
        await setTimeout(30)
        await next()
      },
    })
    await using relay = outbox.relay(bus, { sendTimeout: 100, pollInterval: '10m' })
    const troubles: unknown[] = []
    for (const event of ['parked', 'held', 'failure'] as const) relay.on(event, (each) => troubles.push(each))
    await fill(database, outbox, 30)
    await relay.start()
    await poll(() => ids.length).toBe(30)
    expect(new Set(ids).size).toBe(30)
    expect([...byKey.values()].every(isSorted)).toBe(true)
    expect(troubles).toEqual([])
  })

  test('is up again when what was held is through, though its row could only be removed later', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus } = await openBus()
    await using _ = bus
    const { table } = database.dialect
    const [here, away] = [table('outbox'), table('outbox').replace('outbox', 'hidden')]
    const rename = (from: string, to: string) =>
      database.query(`ALTER TABLE ${from} RENAME TO ${to.split('.').at(-1)}`)
    let tries = 0
    bus.use({
      send: async (_context, next) => {
        tries += 1
        if (tries === 1) throw new MessagingError('failed', 'not now', { retryable: true })
        await rename(here, away)
        await next()
      },
    })
    await using relay = outbox.relay(bus)
    const failed = new Promise((resolve) => relay.on('failure', resolve))
    await relay.start()
    await fill(database, outbox, 1)
    await failed
    await rename(away, here)
    await poll(() => waiting(database)).toBe(0)
    await poll(() => relay.health().status).toBe('up')
    expect(tries).toBe(2)
  })

  test('sends no more of a batch when another relay has taken what it is of', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus } = await openBus()
    await using _ = bus
    const began: number[] = []
    const sending = Promise.withResolvers<void>()
    bus.use({
      send: async ({ data }, next) => {
        began.push(schema.parse(data).n)
        sending.resolve()
        await setTimeout(200)
        await next()
      },
    })
    await fill(database, outbox, 60)
    await using relay = outbox.relay(bus, { lease: 1000 })
    await relay.start()
    await sending.promise
    const { table, after } = database.dialect
    // As if this one had stood still for longer than its leases.
    await database.query(`UPDATE ${table('slots')} SET owner = 'another', expires_at = ${after('60000')}`)
    await setTimeout(3000)
    expect(began.length).toBeLessThan(40)
    const before = began.length
    await setTimeout(500)
    expect(began).toHaveLength(before)
  })

  test('reads no more data at once than a process can hold', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, ids } = await openBus()
    await using _ = bus
    const text = 'x'.repeat(900_000)
    const large = defineMessage(orders, 'order.placed', {
      schema: z.object({ n: z.number(), text: z.string() }),
      key: () => 'k',
    })
    await database.transaction(async (transaction) => {
      for (const n of numbers(40)) await outbox.send(transaction, large, { n, text })
    })
    await using relay = outbox.relay(bus, { lanes: 1, pollInterval: '10m' })
    const batches: number[] = []
    relay.on('relayed', ({ messages }) => batches.push(messages))
    await relay.start()
    await poll(() => ids.length).toBe(40)
    expect(batches).toEqual([19, 19, 2])
  })

  test('parks nothing and loses nothing while the broker is away, and drains when it is back', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey, ids } = await openBus()
    await using _ = bus
    let isAway = true
    let tries = 0
    bus.use({
      send: async (_context, next) => {
        tries += 1
        if (isAway) throw new MessagingError('disconnected', 'The broker is away', { retryable: true })
        await next()
      },
    })
    await fill(database, outbox, 60)
    await using relay = outbox.relay(bus, { maxBackoff: 20, pollInterval: 10, depthEvery: 10, batchSize: 10 })
    const depth = new Promise((resolve) => relay.on('depth', resolve))
    await relay.start()
    await poll(() => tries).toBeGreaterThan(100)
    expect(await depth).toMatchObject({ waiting: 60, parked: 0 })
    expect(ids).toEqual([])
    expect(await outbox.parked()).toEqual([])
    isAway = false
    await poll(() => ids.length).toBe(60)
    expect([...byKey.values()].every(isSorted)).toBe(true)
  })

  test('shares the work with others, and leaves it to them when it ends', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, byKey, ids } = await openBus()
    await using _ = bus
    const relays = numbers(3).map(() => outbox.relay(bus, { lease: 5000, pollInterval: 20 }))
    for (const relay of relays) await relay.start()
    const shares = async () => {
      const stats = await Promise.all(relays.map((relay) => relay.stats()))
      return stats.map(({ slots }) => slots).sort()
    }
    await poll(shares).toEqual([20, 22, 22])
    await fill(database, outbox, 200)
    await poll(() => ids.length).toBe(200)
    expect([...byKey.values()].every(isSorted)).toBe(true)
    await relays[0]?.stop()
    await poll(shares).toEqual([0, 32, 32])
    expect(relays[0]?.health()).toMatchObject({ status: 'down' })
    await Promise.all(relays.map((relay) => relay.stop()))
    const [owned] = await database.query<{ count: number }>(
      `SELECT count(owner) AS count FROM ${database.dialect.table('slots')}`,
    )
    expect(Number(owned?.count)).toBe(0)
  })

  test('takes what a relay had that says nothing any more', async () => {
    const database = await ready()
    const { slots, relays } = {
      slots: database.dialect.table('slots'),
      relays: database.dialect.table('relays'),
    }
    const past = database.dialect.after('$1')
    await database.query(`INSERT INTO ${relays} (relay, expires_at) VALUES ('gone', ${past})`, [600])
    await database.query(`UPDATE ${slots} SET owner = 'gone', expires_at = ${past}`, [600])
    const outbox = database.outbox()
    const { bus, ids } = await openBus()
    await using _ = bus
    await fill(database, outbox, 10)
    await using relay = outbox.relay(bus, { lease: 1000, pollInterval: 20 })
    await relay.start()
    expect((await relay.stats()).slots).toBe(0)
    await poll(() => ids.length).toBe(10)
    await poll(async () => (await relay.stats()).slots).toBe(64)
  })

  test('forgets relays that were killed, and leases of a clock that was set back', async () => {
    const database = await ready()
    const { table, after } = database.dialect
    const day = 86_400_000
    await database.query(
      `INSERT INTO ${table('relays')} (relay, expires_at) VALUES ('killed', ${after('$1')}), ('ahead', ${after('$2')})`,
      [-day, day],
    )
    await database.query(`UPDATE ${table('slots')} SET owner = 'ahead', expires_at = ${after('$1')}`, [day])
    const { bus } = await openBus()
    await using _ = bus
    await using relay = database.outbox().relay(bus)
    await relay.start()
    expect((await relay.stats()).slots).toBe(64)
    const left = await database.query<{ count: number }>(`SELECT count(*) AS count FROM ${table('relays')}`)
    expect(Number(left[0]?.count)).toBe(1)
  })

  test('is degraded while middleware does not end', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, ids } = await openBus()
    await using _ = bus
    const { promise, resolve } = Promise.withResolvers<void>()
    bus.use({
      send: async (_context, next) => {
        await promise
        await next()
      },
    })
    await using relay = outbox.relay(bus, { sendTimeout: 100, lease: 1000 })
    await fill(database, outbox, 1)
    await relay.start()
    await poll(() => relay.health()).toMatchObject({
      status: 'degraded',
      error: { code: 'timeout', message: expect.stringContaining('A batch is under way') },
    })
    resolve()
    await poll(() => ids.length).toBe(1)
    await poll(() => relay.health().status).toBe('up')
  })

  test('sends nothing of slots that it has lost', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, ids } = await openBus()
    await using _ = bus
    await using relay = outbox.relay(bus, { lease: 1000, pollInterval: 20 })
    await relay.start()
    await database.query(
      `UPDATE ${database.dialect.table('slots')} SET owner = 'another', expires_at = ${database.dialect.after('$1')}`,
      [60_000],
    )
    await poll(async () => (await relay.stats()).slots).toBe(0)
    await fill(database, outbox, 5)
    await setTimeout(100)
    expect(ids).toEqual([])
  })

  test('holds a delayed message back, and drops one that has expired', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, ids } = await openBus()
    await using _ = bus
    await database.transaction(async (transaction) => {
      await outbox.send(transaction, ordered, { n: 1 }, { id: 'late', delay: '4s' })
      await outbox.send(transaction, ordered, { n: 2 }, { id: 'soon' })
      await outbox.send(transaction, ordered, { n: 3 }, { id: 'stale', expiresIn: 1 })
    })
    await setTimeout(10)
    await using relay = outbox.relay(bus)
    const expired: string[] = []
    relay.on('expired', ({ id }) => expired.push(id))
    await relay.start()
    await poll(() => ids).toEqual(['soon', 'late'])
    expect(expired).toEqual(['stale'])
  })

  test('cannot be started twice, and can be again once it was stopped', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, ids } = await openBus()
    await using _ = bus
    const relay = outbox.relay(bus)
    await relay.stop()
    await relay.start()
    await expect(relay.start()).rejects.toThrow('running already')
    await relay.stop()
    await relay.start()
    await fill(database, outbox, 3)
    await poll(() => ids.length).toBe(3)
    await relay.stop()
    await relay.stop()
  })

  test('tells that the database fails, and goes on when it is back', async () => {
    const database = await ready()
    const outbox = database.outbox()
    const { bus, ids } = await openBus()
    await using _ = bus
    await using relay = outbox.relay(bus, { pollInterval: 10, maxBackoff: 50 })
    const failure = new Promise((resolve) => relay.on('failure', resolve))
    await relay.start()
    const { table } = database.dialect
    const away = database.dialect.name === 'postgres' ? '"outbox_away"' : table('outbox_away')
    const schemaName = table('outbox_away').replace('outbox_away', 'outbox')
    await database.query(`ALTER TABLE ${schemaName} RENAME TO ${away}`)
    expect(await failure).toMatchObject({ error: { code: 'topology-missing' } })
    expect(relay.health().status).toBe('degraded')
    const back = database.dialect.name === 'postgres' ? '"outbox"' : table('outbox')
    await database.query(`ALTER TABLE ${table('outbox_away')} RENAME TO ${back}`)
    await fill(database, outbox, 3)
    await poll(() => ids.length).toBe(3)
    await poll(() => relay.health().status).toBe('up')
  })

  test('keeps what is plain without order or key', async () => {
    const database = await ready()
    const outbox = database.outbox()
    await using bus = await connect({ url: 'memory:', console: false })
    const got: number[] = []
    await bus
      .consumer('all', { concurrency: 10 })
      .on(plain, ({ data }) => void got.push(data.n))
      .start()
    await using relay = outbox.relay(bus)
    await relay.start()
    await Promise.all(
      numbers(100).map((n) => database.transaction((transaction) => outbox.send(transaction, plain, { n }))),
    )
    await poll(() => got.length).toBe(100)
    expect(got.toSorted((a, b) => a - b)).toEqual(numbers(100))
  })
})
