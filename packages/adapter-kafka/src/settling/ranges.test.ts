import { expect, test } from 'vitest'
import { Ranges } from './ranges.ts'

function rangesOf(...pairs: readonly (readonly [number, number])[]): Ranges {
  const ranges = new Ranges()
  for (const [from, to] of pairs) ranges.add(from, to)
  return ranges
}

function listed(ranges: Ranges): number[][] {
  return [...ranges].map(({ from, to }) => [from, to])
}

test('ranges stay in ascending order, whatever the order they come in', () => {
  expect(listed(rangesOf([20, 25], [0, 5], [10, 15]))).toEqual([
    [0, 5],
    [10, 15],
    [20, 25],
  ])
})

test('ranges that touch or overlap become one', () => {
  expect(listed(rangesOf([0, 5], [5, 8]))).toEqual([[0, 8]])
  expect(listed(rangesOf([5, 8], [0, 5]))).toEqual([[0, 8]])
  expect(listed(rangesOf([0, 2], [4, 6], [8, 10], [1, 9]))).toEqual([[0, 10]])
  expect(listed(rangesOf([0, 10], [3, 4]))).toEqual([[0, 10]])
})

test('an empty range adds nothing', () => {
  expect(listed(rangesOf([3, 3], [5, 4]))).toEqual([])
})

test('the start of a range belongs to it, its end does not', () => {
  const ranges = rangesOf([2, 4], [6, 8])
  expect([1, 2, 3, 4, 5, 6, 7, 8].map((value) => ranges.has(value))).toEqual([
    false,
    true,
    true,
    false,
    false,
    true,
    true,
    false,
  ])
})

test('ranges agree with a plain set of numbers under many random additions', () => {
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % below
  }
  const ranges = new Ranges()
  const numbers = new Set<number>()
  for (let step = 0; step < 500; step += 1) {
    const from = random(1000)
    const to = from + random(6)
    ranges.add(from, to)
    for (let value = from; value < to; value += 1) numbers.add(value)
  }
  for (let value = 0; value < 1010; value += 1) expect(ranges.has(value)).toBe(numbers.has(value))
  const all = listed(ranges)
  for (const [index, [from]] of all.entries())
    if (index > 0) expect(from).toBeGreaterThan(all[index - 1]?.[1] ?? 0)
})
