import { expect, test } from 'vitest'
import { coversPattern } from './covers-pattern.ts'

test.each([
  ['#', 'order.created'],
  ['#', '#'],
  ['#', '*.#'],
  ['order.#', 'order'],
  ['order.#', 'order.*'],
  ['order.#', 'order.*.eu'],
  ['order.*', 'order.created'],
  ['#.eu', 'order.#.eu'],
  ['a.b', 'a.b'],
])('%s takes all that %s takes', (pattern, other) => {
  expect(coversPattern(pattern, other)).toBe(true)
})

test.each([
  ['order.*', 'order.#'],
  ['order.*', '#'],
  ['order.created', 'order.*'],
  ['order.#', 'orders.created'],
  ['*', 'a.b'],
  ['#.eu', 'order.#'],
])('%s does not take all that %s takes', (pattern, other) => {
  expect(coversPattern(pattern, other)).toBe(false)
})
