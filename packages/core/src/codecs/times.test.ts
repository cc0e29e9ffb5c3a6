import { expect, test } from 'vitest'
import { readTime } from './times.ts'

const ten = new Date('2026-11-28T10:00:00Z')

test.each([
  '2026-11-28T10:00:00Z',
  '2026-11-28T10:00:00.0000000Z',
  '2026-11-28T11:00:00+01:00',
  '2026-11-28T11:00:00+0100',
  '2026-11-28 10:00:00Z',
  '2026-11-28T10:00:00',
  '2026-11-28T10:00',
  ten.getTime(),
  String(ten.getTime()),
  ten.getTime() / 1000,
  String(ten.getTime() / 1000),
])('%j is ten o’clock UTC, wherever this runs', (value) => {
  expect(readTime(value)).toEqual(ten)
})

test('a date alone is its midnight, and seconds may have fractions', () => {
  expect(readTime('2026-11-28')).toEqual(new Date('2026-11-28T00:00:00Z'))
  expect(readTime(1.5)).toEqual(new Date(1500))
})

test.each(['soon', '', '2026-13-45', 'Nov 28', true, {}, [], null, Number.NaN, 1e300])(
  '%j is no time',
  (value) => {
    expect(readTime(value)).toBeUndefined()
  },
)
