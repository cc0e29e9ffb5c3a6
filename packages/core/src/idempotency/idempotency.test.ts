import { describe, expect, test } from 'vitest'
import { virtualClock } from '../lib/virtual-clock.ts'
import { type IdempotencyMark, memoryIdempotencyStore } from './idempotency.ts'

const mark = (parts: Partial<IdempotencyMark> = {}): IdempotencyMark => ({
  group: 'billing',
  topic: 'orders',
  type: 'order.placed',
  source: 'checkout',
  id: 'm-1',
  ...parts,
})

function setUp() {
  const clock = virtualClock()
  const store = memoryIdempotencyStore({ clock })
  const start = async (of = mark(), leaseMs = 1000) => {
    const state = await store.begin(of, leaseMs)
    if (state.state !== 'started') throw new Error(`expected to start, but it is ${state.state}`)
    return state.token
  }
  return { clock, store, start }
}

describe('a mark', () => {
  test('is the first’s to take; others hear for how long it is taken', async () => {
    const { clock, store, start } = setUp()
    await start()
    await clock.advance(400)
    expect(await store.begin(mark(), 1000)).toEqual({ state: 'processing', remainingMs: 600 })
  })

  test('is another for another group, topic, type, source or id', async () => {
    const { start } = setUp()
    await start()
    await start(mark({ group: 'shipping' }))
    await start(mark({ topic: 'archive' }))
    await start(mark({ type: 'order.shipped' }))
    await start(mark({ source: 'shop' }))
    await start(mark({ id: 'm-2' }))
  })

  test('is not confused with one whose parts run together to the same text', async () => {
    const { start } = setUp()
    await start(mark({ source: 'b","c', id: 'd' }))
    await start(mark({ source: 'b', id: 'c","d' }))
    await start(mark({ source: 'ab', id: 'c' }))
    await start(mark({ source: 'a', id: 'bc' }))
  })

  test('is free again when its lease has run out, and its former owner has no say any more', async () => {
    const { clock, store, start } = setUp()
    const former = await start()
    await clock.advance(1000)
    const owner = await start()
    expect(await store.extend(mark(), former, 1000)).toBe(false)
    await store.complete(mark(), former, 1000)
    await store.abandon(mark(), former)
    expect(await store.begin(mark(), 1000)).toEqual({ state: 'processing', remainingMs: 1000 })
    expect(await store.extend(mark(), owner, 1000)).toBe(true)
  })

  test('is kept for as long as its lease is renewed', async () => {
    const { clock, store, start } = setUp()
    const token = await start()
    for (let turn = 0; turn < 5; turn += 1) {
      await clock.advance(900)
      expect(await store.extend(mark(), token, 1000)).toBe(true)
    }
    expect((await store.begin(mark(), 1000)).state).toBe('processing')
  })

  test('is done once it is completed, until its window is over', async () => {
    const { clock, store, start } = setUp()
    await store.complete(mark(), await start(), 5000)
    await clock.advance(4999)
    expect(await store.begin(mark(), 1000)).toEqual({ state: 'done' })
    await clock.advance(1)
    await start()
  })

  test('stays done whatever its owner says later', async () => {
    const { store, start } = setUp()
    const token = await start()
    await store.complete(mark(), token, 5000)
    expect(await store.extend(mark(), token, 1000)).toBe(false)
    await store.abandon(mark(), token)
    expect((await store.begin(mark(), 1000)).state).toBe('done')
  })

  test('is gone when it is abandoned', async () => {
    const { store, start } = setUp()
    await store.abandon(mark(), await start())
    await start()
  })
})

test('a token is never given twice', async () => {
  const { store, start } = setUp()
  const first = await start()
  await store.abandon(mark(), first)
  expect(await start()).not.toBe(first)
})

test('of two that begin at once one starts', async () => {
  const { store } = setUp()
  const states = await Promise.all([store.begin(mark(), 1000), store.begin(mark(), 1000)])
  expect(states.map(({ state }) => state)).toEqual(['started', 'processing'])
})

test('marks last as long as they should, though the wall clock is set', async () => {
  const clock = virtualClock()
  const store = memoryIdempotencyStore({ clock })
  const mark = { group: 'g', topic: 't', type: 'order.created', source: 's', id: 'i' }
  await store.begin(mark, 1000)
  clock.setBy(3_600_000)
  expect(await store.begin(mark, 1000)).toMatchObject({ state: 'processing', remainingMs: 1000 })
  clock.setBy(-7_200_000)
  await clock.advance(1001)
  expect(await store.begin(mark, 1000)).toMatchObject({ state: 'started' })
})
