import { expect, test } from 'vitest'
import { unwritable } from './json-data.ts'

const pathsOf = (data: unknown) => unwritable(data).map(({ path }) => path)

class Money {
  readonly amount = 1
}
class Secret {
  readonly #amount = 1
  reveal() {
    return this.#amount
  }
}

test.each([
  ['a BigInt', 1n, /BigInt/],
  ['a function', () => {}, /function/],
  ['a symbol', Symbol('s'), /symbol/],
  ['NaN', Number.NaN, /arrive as null/],
  ['Infinity', Number.POSITIVE_INFINITY, /arrive as null/],
  ['a number beyond 2^53', 2 ** 53, /lose their last digits/],
  ['a Map', new Map([[1, 2]]), /a Map cannot/],
  ['a Set', new Set([1]), /a Set cannot/],
  ['an Error', Object.assign(new TypeError('x'), { code: 1 }), /a TypeError cannot/],
  ['a regular expression', /x/, /a RegExp cannot/],
  ['a promise', Promise.resolve(), /a Promise cannot/],
  ['an object with nothing to see', new Secret(), /a Secret cannot/],
  ['search parameters', new URLSearchParams('a=1'), /a URLSearchParams cannot/],
  ['an invalid date', new Date(Number.NaN), /invalid Date/],
  ['a typed array', new Float64Array(2), /bytes within data/],
  ['a Buffer', Buffer.from('x'), /bytes within data/],
  ['an ArrayBuffer', new ArrayBuffer(2), /bytes within data/],
  ['a DataView', new DataView(new ArrayBuffer(2)), /bytes within data/],
  ['a toJSON that gives such a thing', { toJSON: () => Number.NaN }, /toJSON gave .*NaN/],
])('%s is refused, with its path', (_what, value, reason) => {
  expect(pathsOf(value)).toEqual([''])
  const data = { fine: 1, items: [{ value }, [value]] }
  const issues = unwritable(data)
  expect(issues.map(({ path }) => path)).toEqual(['items.0.value', 'items.1.0'])
  for (const { message } of issues) expect(message).toMatch(reason)
})

test('undefined in an array and its holes are refused, undefined properties are not', () => {
  const holes: unknown[] = [1]
  holes[2] = 3
  expect(pathsOf({ list: [undefined], holes, property: undefined })).toEqual(['list.0', 'holes.1'])
})

test('what JSON carries is not refused', () => {
  const fine = {
    text: 'x',
    lone: '\ud800',
    numbers: [0, -0, 1.5, -1e300, Number.MAX_SAFE_INTEGER, 5e-324, 1e21],
    nothing: null,
    date: new Date(0),
    url: new URL('https://example.com'),
    instance: new Money(),
    bare: Object.assign(Object.create(null), { a: 1 }),
    empty: [{}, []],
    own: { toJSON: () => ({ a: 1 }) },
    boxed: Object('x'),
  }
  expect(unwritable(fine)).toEqual([])
  for (const value of ['x', 1, true, null, undefined]) expect(unwritable(value)).toEqual([])
})

test('what a toJSON gives is looked into', () => {
  expect(pathsOf({ own: { toJSON: () => ({ a: [Number.NaN] }) } })).toEqual(['own.a.0'])
})

test('a cycle is thrown, and depth is none', () => {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  expect(() => unwritable(cycle)).toThrow(/circular/)
  let deep: unknown = Number.NaN
  for (let depth = 0; depth < 500; depth += 1) deep = [deep]
  expect(pathsOf(deep)).toHaveLength(1)
})
