import { setTimeout } from 'node:timers/promises'
import type { IdempotencyMark } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { databases } from '../databases.fixture.ts'

const mark = (parts: Partial<IdempotencyMark> = {}): IdempotencyMark => ({
  ...{ group: 'billing', topic: 'orders', type: 'order.placed', source: 'checkout', id: 'm-1' },
  ...parts,
})

describe.each(databases())('an idempotency store on $name', ({ open, ready }) => {
  const setUp = async () => {
    const database = await ready()
    const store = database.idempotencyStore()
    const start = async (of = mark(), leaseMs = 60_000) => {
      const state = await store.begin(of, leaseMs)
      if (state.state !== 'started') throw new Error(`expected to start, but it is ${state.state}`)
      return state.token
    }
    const expire = () =>
      database.query(
        `UPDATE ${database.dialect.table('marks')} SET expires_at = ${database.dialect.after('$1')}`,
        [-1],
      )
    return { database, store, start, expire }
  }

  test('gives a mark to the first; others hear for how long it is taken', async () => {
    const { store, start } = await setUp()
    await start()
    const state = await store.begin(mark(), 1000)
    if (state.state !== 'processing') throw new Error(state.state)
    expect(state.remainingMs).toBeGreaterThan(0)
    expect(state.remainingMs).toBeLessThanOrEqual(60_000)
    await start(mark({ group: 'shipping' }))
  })

  test('lets one of many have it that ask at the same moment', async () => {
    const { store } = await setUp()
    const states = await Promise.all(Array.from({ length: 10 }, () => store.begin(mark(), 60_000)))
    expect(states.filter(({ state }) => state === 'started')).toHaveLength(1)
    expect(states.filter(({ state }) => state === 'processing')).toHaveLength(9)
  })

  test('frees a mark when its lease has run out, and its former owner has no say any more', async () => {
    const { store, start, expire } = await setUp()
    const former = await start()
    await expire()
    const owner = await start()
    expect(owner).not.toBe(former)
    expect(await store.extend(mark(), former, 1000)).toBe(false)
    await store.complete(mark(), former, 1000)
    await store.abandon(mark(), former)
    expect(await store.begin(mark(), 1000)).toMatchObject({ state: 'processing' })
    expect(await store.extend(mark(), owner, 60_000)).toBe(true)
  })

  test('expires by the time of the database', async () => {
    const { store, start } = await setUp()
    await start(mark(), 0.5)
    await setTimeout(5)
    await start()
    expect(await store.begin(mark(), 1000)).toMatchObject({ state: 'processing' })
  })

  test('renews a lease', async () => {
    const { store, start } = await setUp()
    const token = await start(mark(), 20_000)
    expect(await store.extend(mark(), token, 90_000.5)).toBe(true)
    const state = await store.begin(mark(), 1000)
    if (state.state !== 'processing') throw new Error(state.state)
    expect(state.remainingMs).toBeGreaterThan(20_000)
  })

  test('keeps a mark done until its window is over, whatever its owner says later', async () => {
    const { store, start, expire } = await setUp()
    const token = await start()
    await store.complete(mark(), token, 60_000)
    expect(await store.extend(mark(), token, 1000)).toBe(false)
    await store.abandon(mark(), token)
    expect(await store.begin(mark(), 1000)).toEqual({ state: 'done' })
    await expire()
    await start()
  })

  test('answers with the result that was stored', async () => {
    const { store, start } = await setUp()
    await store.complete(mark(), await start(), 60_000, { receipt: 17 })
    expect(await store.begin(mark(), 1000)).toEqual({ state: 'done', result: { receipt: 17 } })
  })

  test('has nothing of a mark that was abandoned', async () => {
    const { store, start } = await setUp()
    await store.abandon(mark(), await start())
    await start()
  })

  test('removes what has expired, and nothing else, in batches', async () => {
    const { database, store, start, expire } = await setUp()
    const marks = database.dialect.table('marks')
    const columns = 'message_group, topic, type, source, id, state, expires_at'
    const { after, name } = database.dialect
    const numbers =
      name === 'postgres'
        ? 'SELECT n FROM generate_series(1, 2500) AS n'
        : 'WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500) SELECT n FROM numbers'
    const bytes = name === 'postgres' ? "decode(lpad(to_hex(n), 8, '0'), 'hex')" : 'CAST(n AS blob)'
    await database.query(
      `INSERT INTO ${marks} (mark, ${columns}) SELECT ${bytes}, 'g', 't', 'y', 's', 'i', 'done', ${after('1')} FROM (${numbers}) AS numbers`,
    )
    await expire()
    await start()
    expect(await store.clean()).toBe(2500)
    expect(await store.clean()).toBe(0)
    expect(await store.begin(mark(), 1000)).toMatchObject({ state: 'processing' })
  })

  test('is told in one sentence that its tables are missing', async () => {
    const store = open().idempotencyStore()
    await expect(store.begin(mark(), 1000)).rejects.toMatchObject({
      code: 'topology-missing',
      message: expect.stringContaining('Run database.migrate()'),
    })
  })
})
