import { expect, test } from 'vitest'
import { levelCount, levelMs, planHop, planLevels, planTier } from './delays.ts'

test('a hop is rounded up when it is the last, and down when more follow', () => {
  const quarter = { longestMs: 900_000, unitMs: 1000 }
  expect(planHop(1001, quarter)).toEqual({ waitMs: 2000, remainingMs: 0 })
  expect(planHop(900_000, quarter)).toEqual({ waitMs: 900_000, remainingMs: 0 })
  expect(planHop(900_001, quarter)).toEqual({ waitMs: 900_000, remainingMs: 1 })
})

test('hops add up to the delay, never to less', () => {
  for (const delayMs of [1, 999, 2500, 10_000, 12_345]) {
    let waited = 0
    let left = delayMs
    for (let hops = 0; left > 0; hops += 1) {
      expect(hops).toBeLessThan(100)
      const { waitMs, remainingMs } = planHop(left, { longestMs: 2000, unitMs: 1000 })
      waited += waitMs
      left = remainingMs
    }
    expect(waited).toBeGreaterThanOrEqual(delayMs)
    expect(waited).toBeLessThan(delayMs + 1000)
  }
})

test('a tier ends before the delay does, unless none is short enough', () => {
  const tiers = [1000, 6000, 40_000]
  expect(planTier(45_000, tiers, 1000)).toBe(2)
  expect(planTier(40_999, tiers, 1000)).toBe(1)
  expect(planTier(500, tiers, 1000)).toBe(0)
})

test('levels add up to the delay, never to less', () => {
  const unitMs = 1000 / 32
  for (const delayMs of [1, 31, 32, 1000, 5000, 86_400_000]) {
    const { waits, remainingMs } = planLevels(delayMs, { unitMs, count: 27 })
    const waited = waits.reduce((sum, waitsHere, level) => sum + (waitsHere ? levelMs(level, unitMs) : 0), 0)
    expect(remainingMs).toBe(0)
    expect(waited).toBeGreaterThanOrEqual(delayMs)
  }
  expect(planLevels(10_000, { unitMs: 1000, count: 2 })).toEqual({ waits: [true, true], remainingMs: 7000 })
  // Above 2^31, where bit operations would fail.
  expect(planLevels(2 ** 40, { unitMs: 1, count: 41 }).waits.findLastIndex(Boolean)).toBe(40)
})

test('there are levels enough for the longest delay, and at least one', () => {
  expect(levelCount(7000, { unitMs: 1000, most: 27 })).toBe(3)
  expect(levelCount(1, { unitMs: 1000, most: 27 })).toBe(1)
  expect(levelCount(Number.MAX_SAFE_INTEGER, { unitMs: 1000, most: 27 })).toBe(27)
})
