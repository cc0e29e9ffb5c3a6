import { expect, test } from 'vitest'
import { virtualClock } from '../lib/virtual-clock.ts'
import { memoryRateLimitStore } from './rate-limit.ts'

const limit = { name: 'orders billing order.placed', key: '', max: 3, perMs: 1000 }

test('no stretch of the time has more than the limit', async () => {
  const clock = virtualClock()
  const store = memoryRateLimitStore({ clock })
  const at: number[] = []
  for (let passed = 0; passed < 10_000; passed += 70) {
    while (store.take(limit) === 0) at.push(clock.monotonic())
    await clock.advance(70)
  }
  expect(at.length).toBeGreaterThan(25)
  for (const [index, time] of at.entries()) {
    const later = at[index + limit.max]
    if (later !== undefined) expect(later - time).toBeGreaterThanOrEqual(limit.perMs)
  }
})

test('it tells how long to wait, and the wall clock changes nothing', async () => {
  const clock = virtualClock()
  const store = memoryRateLimitStore({ clock })
  for (let count = 0; count < 3; count += 1) expect(store.take(limit)).toBe(0)
  await clock.advance(400)
  clock.setBy(-3_600_000)
  expect(store.take(limit)).toBe(600)
  clock.setBy(7_200_000)
  expect(store.take(limit)).toBe(600)
  await clock.advance(600)
  expect(store.take(limit)).toBe(0)
})

test('names and keys count apart, also those that look alike when put together', () => {
  const store = memoryRateLimitStore({ clock: virtualClock() })
  const once = { ...limit, max: 1 }
  const takes = [
    { ...once, name: 'a b', key: 'c' },
    { ...once, name: 'a', key: ' bc' },
    { ...once, name: 'a b', key: '' },
  ]
  for (const take of takes) expect(store.take(take)).toBe(0)
  for (const take of takes) expect(store.take(take)).toBe(1000)
})

test('a hundred thousand keys are forgotten when they are full again', async () => {
  const clock = virtualClock()
  const store = memoryRateLimitStore({ clock })
  for (let key = 0; key < 100_000; key += 1) store.take({ ...limit, key: String(key) })
  await clock.advance(1000)
  let longest = 0
  for (let key = 0; key < 300_000; key += 1) {
    longest = Math.max(longest, await store.take({ ...limit, key: `new ${key}` }))
  }
  expect(longest).toBe(0)
})
