import { expect, test } from 'vitest'
import { defs, frames as theirs } from './amqplib-own.fixture.ts'
import { type PublishProperties, publishFrames } from './publish-frames.ts'

const fields = { exchange: 'orders', routingKey: 'order.paid', mandatory: true }
const body = Buffer.from('{"n":1}')

const usual: Readonly<Record<string, PublishProperties>> = {
  'no property': {},
  'no header': { headers: {}, deliveryMode: 2 },
  'what core sends': {
    contentType: 'application/cloudevents+json; charset=utf-8',
    headers: {
      'cloudEvents:id': '1',
      'cloudEvents:source': 'orders',
      traceparent: '00-…-01',
      absent: undefined,
    },
    deliveryMode: 2,
    priority: 9,
    expiration: '60000',
    messageId: '0199c3b0-7b1e-7000-8000-0123456789ab',
    type: 'order.paid',
  },
  'what a copy keeps': {
    contentEncoding: 'gzip',
    correlationId: 'c',
    replyTo: 'answers',
    appId: 'shop',
    deliveryMode: 1,
    priority: undefined,
  },
  'headers that are inherited': { headers: Object.create({ tenant: 'acme' }) },
  'texts of all lengths and scripts': {
    headers: { Ærø: '🏝', empty: '', long: 'ж'.repeat(3000), ['n'.repeat(255)]: 'x' },
    type: 'é'.repeat(127),
  },
}

test.each(Object.entries(usual))('%s is written byte for byte as amqplib does', (_, properties) => {
  for (const content of [body, Buffer.alloc(0), Buffer.alloc(10_000, 7)]) {
    const frames = publishFrames(513, fields, properties, content)
    const expected = Buffer.concat([
      defs.encodeMethod(defs.BasicPublish, 513, { ...fields, ticket: 0, immediate: false }),
      defs.encodeProperties(defs.BasicProperties, 513, content.length, properties),
      ...(content.length > 0 ? [theirs.makeBodyFrame(513, content)] : []),
    ])
    expect(frames?.toString('hex')).toBe(expected.toString('hex'))
  }
})

const unusual: Readonly<Record<string, PublishProperties>> = {
  'headers that are no text': { headers: { CC: ['key'] } },
  'a time': { timestamp: 1 },
  'a text that is too long': { messageId: 'x'.repeat(256) },
  'a header name that is too long': { headers: { ['n'.repeat(256)]: 'x' } },
  'headers that are too long': { headers: { a: 'x'.repeat(40_000) } },
  'a priority that is no number': { priority: true },
  'a priority that is no byte': { priority: 256 },
  'a priority that is not a number': { priority: Number.NaN },
  'no headers, said with null': { headers: null },
  'headers that are no object': { headers: 5 },
}

test.each(Object.entries(unusual))('%s: left to amqplib', (_, properties) => {
  expect(publishFrames(1, fields, properties, body)).toBeUndefined()
})

test('a large body, or a name that is too long: left to amqplib', () => {
  expect(publishFrames(1, fields, {}, Buffer.alloc(40_000))).toBeUndefined()
  expect(publishFrames(1, { ...fields, exchange: 'x'.repeat(256) }, {}, body)).toBeUndefined()
})
