import { expect, test } from 'vitest'
import { type Duration, parseDuration, toMilliseconds } from './duration.ts'
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

test('the type takes what the parser takes', () => {
  const durations: readonly Duration[] = [0, 1.5, '0ms', '250ms', '0.5s', '1.05s', '1.500s', '10.25h', '100d']
  expect(durations.map(parseDuration)).not.toContain(undefined)
})

test('the type refuses what the parser refuses', () => {
  const refused: readonly Duration[] = [
    // @ts-expect-error: an exponent
    '1e3s',
    // @ts-expect-error: an exponent in the fraction
    '1.5e3s',
    // @ts-expect-error: white space in front
    ' 5s',
    // @ts-expect-error: white space between
    '5 s',
    // @ts-expect-error: negative
    '-5s',
    // @ts-expect-error: no number
    'Infinitys',
    // @ts-expect-error: no number
    's',
    // @ts-expect-error: no unit
    '5',
    // @ts-expect-error: another unit
    '5sec',
    // @ts-expect-error: no digit in front
    '.5s',
    // @ts-expect-error: no digit behind
    '5.s',
    // @ts-expect-error: separators
    '1_000s',
  ]
  expect(new Set(refused.map(parseDuration))).toEqual(new Set([undefined]))
})
