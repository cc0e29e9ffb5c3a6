import type { TopicSpec } from '@waybill/core/driver'
import { parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { parseRabbitmqOptions } from '../options.ts'
import { bindingsOf, describeGroup, describeTopic, routingKeyOf } from './names.ts'

const orders: TopicSpec = { name: 'orders', ordered: false, partitions: 3, native: {} }
const ordered: TopicSpec = { ...orders, ordered: true }

function settings(native: unknown = undefined) {
  return parseRabbitmqOptions(parseBrokerUrl('amqp://localhost'), native)
}

test('objects are named after topic and group', () => {
  const objects = describeTopic(orders, settings())
  expect(objects.exchange).toEqual({ name: 'orders', existing: false, type: 'fanout' })
  expect(describeGroup(objects, 'billing')).toEqual({
    queues: [{ name: 'orders:billing', existing: false }],
    dead: { name: 'orders:billing:dead', existing: false },
    wishes: 'orders:billing:wishes',
    ladder: { prefix: 'orders:billing', exit: { kind: 'queue', name: 'orders:billing' } },
  })
  const sink = 'orders:kept:void'
  expect(objects).toMatchObject({ kept: 'orders:kept', sink })
  expect(objects.ladder.exit).toEqual({ kind: 'topic', name: 'orders', via: 'orders:types', sink })
})

test('the partitions of a group share a ladder', () => {
  const { queues, ladder } = describeGroup(describeTopic(ordered, settings()), 'billing')
  const names = queues.map(({ name }) => name)
  const exit = { kind: 'queues', name: 'orders:billing:delay:due', queues: names }
  expect(ladder).toEqual({ prefix: 'orders:billing', exit })
})

test('an ordered topic has a queue for each partition, and routes by it', () => {
  const objects = describeTopic(ordered, settings())
  const { queues } = describeGroup(objects, 'billing')
  expect(queues.map(({ name }) => name)).toEqual(['orders:billing:0', 'orders:billing:1', 'orders:billing:2'])
  expect(routingKeyOf(ordered, 'order.created', 'key')).toMatch(/^[012]\.order\.created$/)
  const exchange = { name: 'orders', existing: false, type: 'topic' }
  expect(bindingsOf(objects, ['order.*', 'paid'], 2)).toEqual([
    { exchange, key: '2.order.*' },
    { exchange, key: '2.paid' },
  ])
  expect(bindingsOf(objects, ['paid', '#'], undefined)).toEqual([{ exchange, key: '*.#' }])
})

test('an unordered topic routes by type alone, whatever the key', () => {
  expect(routingKeyOf(orders, 'order.created', 'key')).toBe('order.created')
  const objects = describeTopic(orders, settings())
  const { exchange, filters } = objects
  expect(bindingsOf(objects, ['order.#', '*', 'order.paid'], 0)).toEqual([
    { exchange: filters?.patterns, key: 'order.#' },
    { exchange: filters?.patterns, key: '*' },
    { exchange: filters?.types, key: 'order.paid' },
  ])
  expect(bindingsOf(objects, ['order.paid', '#'], 0)).toEqual([{ exchange, key: '' }])
})

test('names can be those of existing objects, in the topic or in the connection, which wins', () => {
  const native = { rabbitmq: { exchange: 'legacy', groups: { billing: { queue: 'legacy-billing' } } } }
  const objects = describeTopic({ ...orders, native }, settings())
  expect(objects.exchange).toEqual({ name: 'legacy', existing: true, type: 'topic' })
  expect(bindingsOf(objects, ['order.paid'], 0)).toEqual([{ exchange: objects.exchange, key: 'order.paid' }])
  expect(describeGroup(objects, 'billing').queues).toEqual([{ name: 'legacy-billing', existing: true }])
  const other = settings({ topics: { orders: { exchange: 'newer' } } })
  expect(describeTopic({ ...orders, native }, other).exchange.name).toBe('newer')
})
