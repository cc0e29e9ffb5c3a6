import { expect, test } from 'vitest'
import { parseExactly } from './exact-json.ts'

test('whole numbers that a number cannot hold come as BigInt, wherever they stand', () => {
  expect(
    parseExactly('{"a":9007199254740993,"b":[-9007199254740993,{"c":123456789012345678901234567890}]}'),
  ).toEqual({
    a: 9007199254740993n,
    b: [-9007199254740993n, { c: 123456789012345678901234567890n }],
  })
})

test('they are found at every place of the text', () => {
  for (let place = 0; place < 40; place += 1) {
    const space = ' '.repeat(place)
    expect(parseExactly(`${space}9007199254740993${space}`)).toBe(9007199254740993n)
    expect(parseExactly(`[123456789012345,${space}9007199254740993]`)).toEqual([
      123456789012345,
      9007199254740993n,
    ])
  }
})

test('all else is what JSON.parse makes of it', () => {
  for (const text of [
    '{"safe":9007199254740991,"float":1.23456789012345678,"large":1e300,"text":"9007199254740993"}',
    '[0,-0,1.5,"",null,true,{"__proto__":1}]',
    '1234567890123456',
  ]) {
    expect(parseExactly(text)).toEqual(JSON.parse(text))
  }
  expect(() => parseExactly('{"a":9007199254740993')).toThrow(SyntaxError)
})
