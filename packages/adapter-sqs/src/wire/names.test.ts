import { expect, test } from 'vitest'
import { parseReference, queueName, topicArnBeside, topicName } from './names.ts'

const orders = { prefix: '', topic: 'orders', ordered: false }

test('queues are named after topic and group', () => {
  expect(queueName(orders, 'billing')).toBe('orders_billing')
  expect(queueName(orders, 'billing', true)).toBe('orders_billing_dead')
  expect(queueName({ ...orders, prefix: 'test-', ordered: true }, 'billing')).toBe('test-orders_billing.fifo')
  expect(queueName({ ...orders, ordered: true }, 'billing', true)).toBe('orders_billing_dead.fifo')
})

test('topics are named after topics', () => {
  expect(topicName(orders)).toBe('orders')
  expect(topicName({ prefix: 'p_', topic: 'orders.v1', ordered: true })).toMatch(
    /^p_orders-v1_[0-9a-f]{12}\.fifo$/,
  )
})

test('names that would look alike stay apart', () => {
  const names = [
    queueName({ ...orders, topic: 'a_b' }, 'c'),
    queueName({ ...orders, topic: 'a' }, 'b_c'),
    queueName({ ...orders, topic: 'a-b' }, 'c'),
    queueName({ ...orders, topic: 'a.b' }, 'c'),
    queueName({ ...orders, topic: 'a' }, 'b'),
    queueName({ ...orders, topic: 'a' }, 'b', true),
    queueName({ ...orders, topic: 'a' }, 'b_dead'),
  ]
  expect(new Set(names).size).toBe(names.length)
  for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-]+$/)
})

test('the longest names fit', () => {
  const longest = { prefix: 'p'.repeat(20), topic: 't'.repeat(64), ordered: true }
  for (const dead of [false, true]) {
    const name = queueName(longest, 'g'.repeat(64), dead)
    expect(name.length).toBeLessThanOrEqual(80)
    expect(name.endsWith(dead ? '_dead.fifo' : '.fifo')).toBe(true)
  }
})

test('references are names or ARNs', () => {
  expect(parseReference('orders')).toEqual({
    name: 'orders',
    account: undefined,
    region: undefined,
    arn: undefined,
  })
  const arn = 'arn:aws:sqs:eu-west-1:123456789012:orders.fifo'
  expect(parseReference(arn)).toEqual({
    name: 'orders.fifo',
    account: '123456789012',
    region: 'eu-west-1',
    arn,
  })
})

test('a topic is looked for beside a queue', () => {
  const queue = 'arn:aws-cn:sqs:cn-north-1:123456789012:orders_billing'
  expect(topicArnBeside(queue, 'orders')).toBe('arn:aws-cn:sns:cn-north-1:123456789012:orders')
  expect(topicArnBeside('', 'orders')).toBeUndefined()
})
