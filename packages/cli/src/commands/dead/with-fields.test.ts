import { expect, test } from 'vitest'
import { withFields } from './with-fields.ts'

test('fields are replaced and added in a copy, by their paths', () => {
  const data = { total: 1, customer: { name: 'Bob' }, lines: [{ sku: 'a' }] }
  const edited = withFields(data, [
    'total=42',
    'customer.name="Ann"',
    'lines.0.sku="b"',
    'note=null',
    'x="a=b"',
  ])
  expect(edited).toEqual({
    ...{ total: 42, customer: { name: 'Ann' }, lines: [{ sku: 'b' }], note: null, x: 'a=b' },
  })
  expect(data).toEqual({ total: 1, customer: { name: 'Bob' }, lines: [{ sku: 'a' }] })
})

test('no field leads out of the data', () => {
  withFields({ a: 1 }, ['__proto__={"polluted":true}'])
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

test.each([
  ['total', /FIELD=JSON/],
  ['=1', /FIELD=JSON/],
  ['a..b=1', /FIELD=JSON/],
  ['total.cents=1', /no object there/],
  ['name=Ann', /double quotes/],
])('%s is refused', (assignment, message) => {
  expect(() => withFields({ total: 1 }, [assignment])).toThrow(message)
})
