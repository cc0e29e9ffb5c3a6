import { expect, test } from 'vitest'
import { parseDuration, toMilliseconds } from './duration.ts'
import { ConfigurationError } from './errors.ts'

test.each([
  [0, 0],
  [1500, 1500],
  ['250ms', 250],
  ['1.5s', 1500],
  ['5m', 300_000],
  ['12h', 43_200_000],
  ['7d', 604_800_000],
])('%j is %d milliseconds', (value, expected) => {
  expect(parseDuration(value)).toBe(expected)
})

test.each([
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  '5',
  '5 s',
  ' 5s',
  '5s ',
  '-5s',
  '5S',
  '5sec',
  '.5s',
  '1e3ms',
  's',
  null,
  undefined,
  {},
  5n,
  true,
])('%s is no duration', (value) => {
  expect(parseDuration(value)).toBeUndefined()
})

test('what is no duration is refused under the name of its option, with what would be one', () => {
  const refused = () => toMilliseconds('soon', 'retry.delay')
  expect(refused).toThrow(ConfigurationError)
  expect(refused).toThrow(/retry\.delay: expected a duration: .*'5s'/)
})
