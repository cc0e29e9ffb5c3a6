import { expect, test } from 'vitest'
import { ByteBudget, type Share } from './byte-budget.ts'

/** Whoever asks, and whether it is let in. */
function asking(budget: ByteBudget) {
  const entered: number[] = []
  const ask = (bytes: number): Share => budget.acquire(bytes, () => entered.push(bytes))
  return { entered, ask }
}

test('bytes are given at once while there is room', () => {
  const budget = new ByteBudget(100)
  const { entered, ask } = asking(budget)
  ask(60)
  const second = ask(40)
  ask(1)
  expect(entered).toEqual([60, 40])
  budget.release(second)
  expect(entered).toEqual([60, 40, 1])
})

test('an item larger than the whole budget travels, but alone', () => {
  const budget = new ByteBudget(10)
  const { entered, ask } = asking(budget)
  const large = ask(50)
  const small = ask(1)
  expect(entered).toEqual([50])
  budget.release(large)
  ask(51)
  expect(entered).toEqual([50, 1])
  budget.release(small)
  expect(entered).toEqual([50, 1, 51])
})

test('who waits is served first come first served, and a small one does not slip past a large one', () => {
  const budget = new ByteBudget(100)
  const { entered, ask } = asking(budget)
  const first = ask(80)
  ask(50)
  ask(10)
  expect(entered).toEqual([80])
  budget.release(first)
  expect(entered).toEqual([80, 50, 10])
  ask(41)
  expect(entered).toEqual([80, 50, 10])
})

test('giving up a place in the queue lets those behind it through, and takes no room', () => {
  const budget = new ByteBudget(100)
  const { entered, ask } = asking(budget)
  ask(80)
  const waiting = ask(50)
  ask(20)
  budget.release(waiting)
  expect(entered).toEqual([80, 20])
  ask(1)
  expect(entered).toEqual([80, 20])
})

test('giving up costs the same among a hundred thousand as among a hundred', () => {
  const budget = new ByteBudget(1)
  const { ask } = asking(budget)
  const shares = Array.from({ length: 100_000 }, () => ask(1))
  const startedAt = performance.now()
  for (const share of shares.toReversed()) budget.release(share)
  expect(performance.now() - startedAt).toBeLessThan(1000)
})
