import { connect, defineMessage, defineTopic, type IdempotencyMark } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Database } from '../database.ts'
import { databases } from '../databases.fixture.ts'

const contextOf = (parts: Partial<IdempotencyMark> = {}) => ({
  idempotencyKey: {
    ...{ group: 'billing', topic: 'orders', type: 'order.placed', source: 'checkout', id: 'm-1' },
    ...parts,
  },
})

const count = async (database: Database, table: string) => {
  const [row] = await database.query<{ count: number }>(`SELECT count(*) AS count FROM ${table}`)
  return Number(row?.count)
}

const poll = <Value>(value: () => Value | Promise<Value>) =>
  expect.poll(value, { timeout: 20_000, interval: 20 })

describe.each(databases())('an inbox on $name', ({ name, open, ready }) => {
  const withLedger = async () => {
    const database = await ready()
    const ledger = database.dialect.table('ledger')
    await database.query(`CREATE TABLE ${ledger} (id text NOT NULL)`)
    const marks = database.dialect.table('marks')
    return { database, ledger, marks, insert: `INSERT INTO ${ledger} (id) VALUES ($1)` }
  }

  test('runs the first delivery of a message and no other', async () => {
    const { database, ledger, insert } = await withLedger()
    const inbox = database.inbox()
    const once = () =>
      inbox.once(contextOf(), async (transaction) => {
        await transaction.query(insert, ['m-1'])
        return 'written'
      })
    expect(await once()).toEqual({ outcome: 'ran', result: 'written' })
    expect(await once()).toEqual({ outcome: 'duplicate', result: undefined })
    expect(await count(database, ledger)).toBe(1)
  })

  test('tells messages apart by group, topic, type, source and id, whatever is in them', async () => {
    const { database } = await withLedger()
    const inbox = database.inbox()
    const others = [
      {},
      { group: 'shipping' },
      { topic: 'archive' },
      { type: 'order.paid' },
      { source: 'x'.repeat(5000) },
      { source: 'a', id: 'b"' },
      { source: 'a","b', id: '"' },
      { id: 'a\0b' },
      { id: 'a\u2400b' },
      { id: 'ü🙂\u2028' },
    ]
    for (const parts of others)
      expect(await inbox.once(contextOf(parts), async () => 1)).toMatchObject({ outcome: 'ran' })
    for (const parts of others)
      expect(await inbox.once(contextOf(parts), async () => 1)).toMatchObject({ outcome: 'duplicate' })
  })

  test('leaves neither mark nor writes when the work fails', async () => {
    const { database, ledger, marks, insert } = await withLedger()
    const inbox = database.inbox()
    const failing = inbox.once(contextOf(), async (transaction) => {
      await transaction.query(insert, ['m-1'])
      throw new RangeError('no funds')
    })
    await expect(failing).rejects.toThrow(RangeError)
    expect([await count(database, ledger), await count(database, marks)]).toEqual([0, 0])
    expect(await inbox.once(contextOf(), async () => 1)).toMatchObject({ outcome: 'ran' })
  })

  test('runs one of many that come at the same moment', async () => {
    const { database, ledger, insert } = await withLedger()
    const inbox = database.inbox()
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, () =>
        inbox.once(contextOf(), (transaction) => transaction.query(insert, ['m-1'])),
      ),
    )
    expect(outcomes.filter(({ outcome }) => outcome === 'ran')).toHaveLength(1)
    expect(await count(database, ledger)).toBe(1)
  })

  test('answers a duplicate with the result of the first, if it keeps results', async () => {
    const { database } = await withLedger()
    const inbox = database.inbox({ keepResults: true })
    const receipt = { receipt: 17, lines: ['a', null] }
    await inbox.once(contextOf(), async () => receipt)
    const again = await inbox.once(contextOf(), async () => ({ receipt: 18, lines: [] }))
    expect(again).toEqual({ outcome: 'duplicate', result: receipt })
    await inbox.once(contextOf({ id: 'm-2' }), async () => undefined)
    expect(await inbox.once(contextOf({ id: 'm-2' }), async () => 'x')).toEqual({
      ...{ outcome: 'duplicate', result: undefined },
    })
  })

  test('forgets a message when its window is over, and removes its mark', async () => {
    const { database, marks } = await withLedger()
    const inbox = database.inbox({ window: 1, cleanEvery: 100 })
    const past = () =>
      database.query(`UPDATE ${marks} SET expires_at = ${database.dialect.after('$1')}`, [-1])
    await inbox.once(contextOf(), async () => 1)
    await past()
    expect(await inbox.once(contextOf(), async () => 1)).toMatchObject({ outcome: 'ran' })
    await inbox.once(contextOf({ id: 'm-2' }), async () => 1)
    await past()
    await poll(() => count(database, marks)).toBe(0)
  })

  test('joins a transaction of the caller', async () => {
    const { database, marks } = await withLedger()
    const inbox = database.inbox()
    const mark = () => database.transaction((transaction) => inbox.mark(transaction, contextOf()))
    expect([await mark(), await mark()]).toEqual([true, false])
    const failing = database.transaction(async (transaction) => {
      await inbox.mark(transaction, contextOf({ id: 'm-2' }))
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await count(database, marks)).toBe(1)
  })

  test('turns the lease of the idempotency store into done, which then finds it', async () => {
    const { database } = await withLedger()
    const store = database.idempotencyStore()
    const inbox = database.inbox()
    const { idempotencyKey } = contextOf()
    const begun = await store.begin(idempotencyKey, 60_000)
    if (begun.state !== 'started') throw new Error('it is not ours')
    expect(await inbox.once(contextOf(), async () => 1)).toMatchObject({ outcome: 'ran' })
    await store.complete(idempotencyKey, begun.token, 60_000)
    expect(await store.begin(idempotencyKey, 60_000)).toEqual({ state: 'done' })
    expect(await inbox.once(contextOf(), async () => 1)).toMatchObject({ outcome: 'duplicate' })
  })

  test('is told in one sentence that its tables are missing, and leaves nothing', async () => {
    const database = open()
    const inbox = database.inbox()
    let ran = false
    const once = inbox.once(contextOf(), async () => {
      ran = true
    })
    await expect(once).rejects.toMatchObject({
      code: 'topology-missing',
      message: expect.stringContaining('Run database.migrate()'),
    })
    expect(ran).toBe(false)
    await database.migrate()
    expect(await inbox.once(contextOf(), async () => 1)).toMatchObject({ outcome: 'ran' })
  })

  test('is told that the schema is older or newer', async () => {
    const database = await ready()
    const migrations = database.dialect.table('migrations')
    await database.query(`DELETE FROM ${migrations} WHERE version > 1`)
    const mark = () => database.inbox().once(contextOf(), async () => 1)
    await expect(mark()).rejects.toMatchObject({
      code: 'topology-missing',
      message: expect.stringContaining('is of version 1'),
    })
    await database.query(`UPDATE ${migrations} SET works_from = 99`)
    await expect(mark()).rejects.toMatchObject({ code: 'topology-mismatch' })
  })

  test('refuses wrong options, all of them', async () => {
    const database = open()
    expect(() => database.inbox({ window: 0, keepResults: 1 } as never)).toThrow(
      /window: .*\n.*keepResults: /,
    )
    expect(() => database.inbox({ windows: '1d' } as never)).toThrow('windows')
  })

  test('gives each message of a bus one effect, though each comes twice', async () => {
    const { database, ledger, insert } = await withLedger()
    const inbox = database.inbox()
    await using bus = await connect({ url: 'memory:', console: false })
    const topic = defineTopic(`orders-${name}`, { groups: ['billing'] })
    const Placed = defineMessage(topic, 'order.placed', { schema: z.object({ n: z.number() }) })
    let handled = 0
    await bus
      .consumer('billing', { concurrency: 10 })
      .on(Placed, async ({ data }, context) => {
        await inbox.once(context, (transaction) => transaction.query(insert, [String(data.n)]))
        handled += 1
      })
      .start()
    const producer = bus.producer()
    const numbers = Array.from({ length: 50 }, (_, n) => n)
    await Promise.all([...numbers, ...numbers].map((n) => producer.send(Placed, { n }, { id: `m-${n}` })))
    await poll(() => handled).toBe(100)
    expect(await count(database, ledger)).toBe(50)
  })
})
