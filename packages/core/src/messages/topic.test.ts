import { expect, test } from 'vitest'
import { z } from 'zod'
import { ConfigurationError } from '../lib/errors.ts'
import { parseOptions } from '../lib/validation.ts'
import { defineTopic } from './topic.ts'

function issuesOf(call: () => unknown) {
  try {
    call()
  } catch (error) {
    if (error instanceof ConfigurationError) return error.issues
    throw error
  }
  return []
}

test('a topic is not ordered, has eight partitions and no groups unless told otherwise', () => {
  expect(defineTopic('orders')).toEqual({
    name: 'orders',
    ordered: false,
    partitions: 8,
    groups: [],
    native: {},
  })
})

test('a group named alone gets every type', () => {
  const { groups } = defineTopic('orders', {
    groups: ['billing', { name: 'audit', types: ['order.#', 'invoice.paid'] }],
  })
  expect(groups).toEqual([
    { name: 'billing', types: ['#'], named: true },
    { name: 'audit', types: ['order.#', 'invoice.paid'], named: false },
  ])
})

test.each(['', '-a', '.a', '_a', 'a b', 'a/b', 'ä', 'a:b', 'x'.repeat(65)])('%j is no topic name', (name) => {
  expect(issuesOf(() => defineTopic(name))).toEqual([
    { path: 'name', message: expect.stringMatching(/expected 1 to 64 letters/) },
  ])
})

test.each(['a', '0', 'a.b-c_d', 'x'.repeat(64)])('%j is a topic name', (name) => {
  expect(defineTopic(name).name).toBe(name)
})

test('every problem of a topic is listed with its path', () => {
  const wrong: unknown = {
    ordered: 'yes',
    partitions: 0,
    groups: ['a b', { name: 'ok', types: [] }, { name: 'ok', types: ['order created'] }],
    native: 1,
    orderd: true,
  }
  // @ts-expect-error: what a caller without types can do
  const issues = issuesOf(() => defineTopic('or ders', wrong))
  const paths = issues.map(({ path }) => path)
  expect(paths).toEqual(
    expect.arrayContaining(['name', 'ordered', 'partitions', 'groups.0', 'native', 'groups.2.types.0', '']),
  )
  expect(issues.find(({ path }) => path === '')?.message).toContain('orderd')
})

test('the message names the topic and each problem', () => {
  expect(() => defineTopic('orders', { partitions: 0 })).toThrow(
    /^Invalid topic "orders":\n {2}- partitions: /,
  )
})

test('paths can be put under the place the options have in a larger whole', () => {
  const schema = z.strictObject({ heartbeat: z.number() })
  const issues = issuesOf(() =>
    parseOptions(schema, { heartbeat: 'x', more: 1 }, 'options', 'native.rabbitmq'),
  )
  expect(issues.map(({ path }) => path)).toEqual(['native.rabbitmq.heartbeat', 'native.rabbitmq'])
})

test('options that fit come back with their defaults', () => {
  const schema = z.strictObject({ heartbeat: z.number().default(10) })
  expect(parseOptions(schema, {}, 'options')).toEqual({ heartbeat: 10 })
})
