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

test('who waits is served first come first served, and a small one does not slip past a large one', () => {
  const budget = new ByteBudget(100)
  budget.tryTake(80)
  const served: string[] = []
  budget.wait(50, () => served.push('large'))
  budget.wait(10, () => served.push('small'))
  expect(budget.tryTake(1)).toBe(false)
  expect(served).toEqual([])
  budget.release(80)
  expect(served).toEqual(['large', 'small'])
  expect(budget.tryTake(41)).toBe(false)
  expect(budget.tryTake(40)).toBe(true)
})

test('giving up a place in the queue lets those behind it through', () => {
  const budget = new ByteBudget(100)
  budget.tryTake(80)
  const giveUp = budget.wait(50, () => {
    throw new Error('it gave up')
  })
  let served = false
  budget.wait(20, () => {
    served = true
  })
  giveUp()
  expect(served).toBe(true)
})
