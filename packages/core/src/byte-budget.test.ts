import { expect, test } from 'vitest'
import { ByteBudget } from './byte-budget.ts'

test('bytes are given while there is room', () => {
  const budget = new ByteBudget(100)
  expect(budget.tryTake(60)).toBe(true)
  expect(budget.tryTake(40)).toBe(true)
  expect(budget.tryTake(1)).toBe(false)
  budget.release(40)
  expect(budget.tryTake(40)).toBe(true)
})

test('an item larger than the whole budget travels, but alone', () => {
  const budget = new ByteBudget(10)
  expect(budget.tryTake(50)).toBe(true)
  expect(budget.tryTake(1)).toBe(false)
  budget.release(50)
  expect(budget.tryTake(1)).toBe(true)
  expect(budget.tryTake(50)).toBe(false)
})

test('who waits is served first come first served, and a small one does not slip past a large one', async () => {
  const budget = new ByteBudget(100)
  budget.tryTake(80)
  const served: string[] = []
  void budget.take(50).taken.then(() => served.push('large'))
  void budget.take(10).taken.then(() => served.push('small'))
  expect(budget.tryTake(1)).toBe(false)
  await Promise.resolve()
  expect(served).toEqual([])
  budget.release(80)
  await Promise.resolve()
  expect(served).toEqual(['large', 'small'])
})

test('giving up a place in the queue lets those behind it through', async () => {
  const budget = new ByteBudget(100)
  budget.tryTake(80)
  const large = budget.take(50)
  let served = false
  void budget.take(20).taken.then(() => {
    served = true
  })
  large.cancel()
  await Promise.resolve()
  expect(served).toBe(true)
})

test('giving up when the bytes have just come gives the bytes back', () => {
  const budget = new ByteBudget(100)
  budget.tryTake(100)
  const place = budget.take(100)
  budget.release(100)
  place.cancel()
  expect(budget.tryTake(100)).toBe(true)
})
