import { expect, test } from 'vitest'
import { rememberLast } from './remember-last.ts'

test('a result is kept until another is asked for', () => {
  const asked: number[] = []
  const half = rememberLast((number: number) => {
    asked.push(number)
    return number / 2
  })
  expect([4, 4, 6, 4].map(half)).toEqual([2, 2, 3, 2])
  expect(asked).toEqual([4, 6, 4])
})
