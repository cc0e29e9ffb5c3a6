import { expect, test } from 'vitest'
import { isPattern, matchesPattern } from './pattern.ts'

test.each([
  ['#', 'order'],
  ['#', 'order.created.v2'],
  ['order.created', 'order.created'],
  ['order.*', 'order.created'],
  ['*.created', 'order.created'],
  ['*', 'order'],
  ['order.#', 'order'],
  ['order.#', 'order.created'],
  ['order.#', 'order.created.now'],
  ['#.created', 'created'],
  ['#.created', 'order.line.created'],
  ['order.#.failed', 'order.failed'],
  ['order.#.failed', 'order.payment.card.failed'],
  ['order.*.#', 'order.created'],
  ['#.#', 'order'],
  ['*.*', 'order.created'],
])('%s matches %s', (pattern, type) => {
  expect(matchesPattern(pattern, type)).toBe(true)
})

test.each([
  ['order.*', 'order'],
  ['order.*', 'order.created.now'],
  ['order.*', 'orders.created'],
  ['*', 'order.created'],
  ['*.created', 'created'],
  ['order.#', 'orders'],
  ['order.#', 'my.order'],
  ['order.*.#', 'order'],
  ['Order.created', 'order.created'],
  ['order', 'order.created'],
])('%s does not match %s', (pattern, type) => {
  expect(matchesPattern(pattern, type)).toBe(false)
})

test.each([
  ['a.b+', 'a.bb'],
  ['a.[b]', 'a.b'],
  ['a.b|c', 'a.b'],
  ['a.(b)', 'a.b'],
  ['a.b?', 'a.'],
  ['a.\\w', 'a.b'],
  ['^a', 'a'],
  ['a$', 'a'],
  ['a.b{1}', 'a.b'],
  ['a/b', 'ab'],
  ['order.cre*', 'order.created'],
  ['order.#x', 'order.created.x'],
  ['order.**', 'order.created'],
])('%s has no meaning but itself: it does not match %s', (pattern, type) => {
  expect(matchesPattern(pattern, type)).toBe(false)
  expect(matchesPattern(pattern, pattern)).toBe(true)
  expect(matchesPattern(`${pattern}.*`, `${pattern}.x`)).toBe(true)
})

test('a dot in a type is a segment and matches nothing else', () => {
  expect(matchesPattern('a.b.#', 'aXb')).toBe(false)
})

test('a text is a pattern only if a whole segment is a wildcard', () => {
  expect(['*', '#', 'a.*', 'a.#.b'].every(isPattern)).toBe(true)
  expect(['a', 'a.b', 'a.b*', 'a.#b', '**'].some(isPattern)).toBe(false)
})

test('a pattern of many wildcards decides on a long type in no time', () => {
  const startedAt = performance.now()
  expect(matchesPattern(`${'#.'.repeat(12)}end`, 'a.'.repeat(60).slice(0, -1))).toBe(false)
  expect(performance.now() - startedAt).toBeLessThan(200)
})
