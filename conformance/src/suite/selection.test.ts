import { expect, test } from 'vitest'
import { selects } from './selection.ts'

const part = { number: 52, part: 'b' }

test('nothing asked for selects everything', () => {
  expect(selects([], part)).toBe(true)
})

test.each([['52'], ['52b'], ['50-52'], ['52-52']])('%s selects case 52b', (only) => {
  expect(selects([only], part)).toBe(true)
})

test.each([['5'], ['52a'], ['53-60'], ['']])('"%s" does not select case 52b', (only) => {
  expect(selects([only], part)).toBe(false)
})
