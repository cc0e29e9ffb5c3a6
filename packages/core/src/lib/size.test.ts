import { expect, test } from 'vitest'
import { parseSize, type Size, sizeOption } from './size.ts'

test.each([
  [0, 0],
  [1500, 1500],
  ['512b', 512],
  ['8kb', 8192],
  ['1.5mb', 1_572_864],
  ['0.1kb', 102],
  ['1gb', 1_073_741_824],
])('%j is %d bytes', (value, expected) => {
  expect(parseSize(value)).toBe(expected)
})

test.each([
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  '8',
  '8 kb',
  ' 8kb',
  '-8kb',
  '8KB',
  '8k',
  '8kib',
  '.5kb',
  '1e3kb',
  'kb',
  null,
  {},
  5n,
])('%s is no size', (value) => expect(parseSize(value)).toBeUndefined())

test('the type takes what the parser takes, and refuses the rest', () => {
  const sizes: readonly Size[] = [0, 1.5, '0b', '8kb', '0.5mb', '10.25gb']
  expect(sizes.map(parseSize)).not.toContain(undefined)
  // @ts-expect-error: another unit
  const refused: Size = '8kib'
  expect(parseSize(refused)).toBeUndefined()
})

test('an option that is none says what would be one, and its range', () => {
  expect(sizeOption({ min: 10 }).safeParse('5b').error?.issues[0]?.message).toMatch(
    /'8kb'.*, at least 10 bytes/,
  )
  expect(sizeOption().parse('8kb')).toBe(8192)
})
