import { expect, test } from 'vitest'
import { filterPolicy, widerPolicy } from './filter-policy.ts'

const any = { exists: false }

function conditions(...patterns: string[]): unknown {
  const policy = filterPolicy(patterns)
  return policy === undefined ? undefined : JSON.parse(policy)['ce-type']
}

test.each([
  ['order.created', ['order.created']],
  ['order.*', [{ prefix: 'order.' }]],
  ['order.#', ['order', { prefix: 'order.' }]],
  ['order.*.eu', [{ prefix: 'order.' }]],
  ['*.created', [{ suffix: '.created' }]],
  ['#.created', ['created', { suffix: '.created' }]],
  ['#.*.created', [{ suffix: '.created' }]],
])('%s becomes what SNS can say of it, never less', (pattern, expected) => {
  expect(conditions(pattern)).toEqual([any, ...expected])
})

test.each(['#', '*', '*.created.#', '#.*'])('%s needs no filter', (pattern) => {
  expect(conditions('order.created', pattern)).toBeUndefined()
})

test('more conditions than SNS takes become no filter', () => {
  const types = (count: number) => Array.from({ length: count }, (_, index) => `type${index}`)
  expect(filterPolicy(types(149))).toBeDefined()
  expect(filterPolicy(types(150))).toBeUndefined()
})

test('policies are only ever widened', () => {
  const created = filterPolicy(['order.created'])
  const paid = filterPolicy(['order.paid'])
  expect(JSON.parse(widerPolicy(created, paid) ?? '')).toEqual({
    'ce-type': [any, 'order.created', 'order.paid'],
  })
  expect(widerPolicy(created, created)).toBe(created)
  expect(widerPolicy(created, undefined)).toBeUndefined()
  expect(widerPolicy('{"somebody":["else"]}', created)).toBeUndefined()
})
