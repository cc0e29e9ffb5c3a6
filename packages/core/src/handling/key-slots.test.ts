import { expect, test } from 'vitest'
import { KeySlots } from './key-slots.ts'

test('a key runs no more at once than its own limit, and all keys no more than the total', () => {
  const slots = new KeySlots({ total: 3, perKey: 2 })
  expect(['a', 'a', 'a', 'b', 'c'].map((key) => slots.tryAcquire(key))).toEqual([
    true,
    true,
    false,
    true,
    false,
  ])
  slots.release('b')
  expect(slots.tryAcquire('c')).toBe(true)
})

test('keys take turns, however many of one wait', () => {
  const slots = new KeySlots({ total: 1, perKey: 1 })
  const granted: string[] = []
  expect(slots.tryAcquire('flood')).toBe(true)
  for (let count = 0; count < 5; count += 1) slots.wait('flood', () => granted.push('flood'))
  for (const key of ['a', 'b', 'a']) slots.wait(key, () => granted.push(key))
  let last = 'flood'
  for (let count = 0; count < 8; count += 1) {
    slots.release(last)
    last = granted.at(-1) ?? ''
  }
  expect(granted.slice(0, 5).toSorted()).toEqual(['a', 'a', 'b', 'flood', 'flood'])
  expect(granted).toHaveLength(8)
})

test('whoever gives up is passed over and leaves nothing behind', () => {
  const slots = new KeySlots({ total: 1, perKey: 1 })
  const granted: number[] = []
  slots.tryAcquire('a')
  const giveUps = Array.from({ length: 3 }, (_, index) => slots.wait('a', () => granted.push(index)))
  giveUps[0]?.()
  giveUps[1]?.()
  giveUps[1]?.()
  slots.release('a')
  expect(granted).toEqual([2])
  giveUps[2]?.()
  slots.release('a')
  expect(slots.tryAcquire('a')).toBe(true)
})

test('a hundred thousand that wait are let in one after the other', () => {
  const slots = new KeySlots({ total: 10, perKey: 1 })
  let granted = 0
  const waiting: string[] = []
  const take = (key: string) => {
    granted += 1
    waiting.push(key)
  }
  for (let count = 0; count < 100_000; count += 1)
    slots.wait(`key ${count % 20}`, () => take(`key ${count % 20}`))
  for (let key = waiting.shift(); key !== undefined; key = waiting.shift()) slots.release(key)
  expect(granted).toBe(100_000)
})
