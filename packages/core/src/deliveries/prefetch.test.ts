import { expect, test } from 'vitest'
import { Prefetch } from './prefetch.ts'

/** Sizes after each of the rounds, each of which lasts so long and brings as many as are held. */
function sizes(prefetch: Prefetch, durationsMs: readonly number[]): number[] {
  let now = 0
  return durationsMs.map((durationMs) => {
    now += durationMs
    prefetch.add(prefetch.size, now)
    return prefetch.size
  })
}

test('doubles while messages go through quickly, up to its bound', () => {
  expect(sizes(new Prefetch(20, 100, 0), [10, 10, 10, 10])).toEqual([40, 80, 100, 100])
})

test('keeps its size while they take neither short nor long', () => {
  expect(sizes(new Prefetch(20, 100, 0), [10, 50, 200])).toEqual([40, 40, 40])
})

test('halves when they take long, down to where it began', () => {
  expect(sizes(new Prefetch(20, 100, 0), [10, 10, 10, 201, 201, 201, 201])).toEqual([
    40, 80, 100, 50, 25, 20, 20,
  ])
})

test('counts as many as are held before it judges, and says when the size changed', () => {
  const prefetch = new Prefetch(20, 100, 0)
  expect([10, 9, 1].map((count) => prefetch.add(count, 5))).toEqual([false, false, true])
  expect(prefetch.size).toBe(40)
  expect(prefetch.add(39, 6)).toBe(false)
  expect(prefetch.add(40, 100)).toBe(false)
})

test('with one bound for both it never changes', () => {
  expect(sizes(new Prefetch(7, 7, 0), [1, 1, 1000])).toEqual([7, 7, 7])
})
