import { expect, test } from 'vitest'
import { defs, frames as theirs } from './amqplib-own.fixture.ts'
import { readDeliverFrames } from './deliver-frames.ts'

const channel = 513
const fields = {
  consumerTag: 'amq.ctag-PHjPcuoGmN0yjPqDBBMOSg',
  deliveryTag: 0x1_0000_0002,
  redelivered: true,
  exchange: 'orders',
  routingKey: 'order.paid',
}
const body = Buffer.from('{"n":1}')

interface Parts {
  readonly properties?: object
  readonly content?: Buffer
  readonly bodies?: readonly Buffer[]
  readonly method?: number
}

function delivery({
  properties = {},
  content = body,
  bodies = [content],
  method = defs.BasicDeliver,
}: Parts = {}): Buffer {
  const returned = { replyCode: 312, replyText: 'NO_ROUTE' }
  return Buffer.concat([
    defs.encodeMethod(method, channel, { ...returned, ...fields }),
    defs.encodeProperties(defs.BasicProperties, channel, content.length, properties),
    ...bodies.map((each) => theirs.makeBodyFrame(channel, each)),
  ])
}

function readByAmqplib(bytes: Buffer): { frames: object[]; rest: Buffer } {
  const frames: object[] = []
  let rest = bytes
  for (let frame = theirs.parseFrame(rest, 0); frame !== false; frame = theirs.parseFrame(rest, 0)) {
    frames.push(theirs.decodeFrame(frame))
    rest = frame.rest
  }
  return { frames, rest }
}

const usual: Readonly<Record<string, object>> = {
  'no property': {},
  'no header': { headers: {}, deliveryMode: 2 },
  'what core sends': {
    contentType: 'application/cloudevents+json; charset=utf-8',
    headers: {
      'cloudEvents:id': '0199c3b0-7b1e-7000-8000-0123456789ab',
      'cloudEvents:source': 'orders',
      traceparent: '00-…-01',
    },
    deliveryMode: 2,
    priority: 9,
    messageId: '0199c3b0-7b1e-7000-8000-0123456789ab',
    type: 'order.paid',
  },
  'every property': {
    contentType: 'text/plain',
    contentEncoding: 'gzip',
    headers: { a: '' },
    deliveryMode: 1,
    priority: 0,
    correlationId: 'c',
    replyTo: 'answers',
    expiration: '60000',
    messageId: '1',
    timestamp: 0x2_0000_0001,
    type: 't',
    userId: 'guest',
    appId: 'shop',
    clusterId: 'one',
  },
  'texts of all lengths and scripts': {
    headers: { Ærø: '🏝', empty: '', long: 'ж'.repeat(3000), ['n'.repeat(255)]: 'x', ['__proto__']: 'y' },
    type: 'é'.repeat(127),
  },
}

test.each(Object.entries(usual))('%s is read as amqplib reads it', (_, properties) => {
  for (const content of [body, Buffer.alloc(10_000, 7)]) {
    const bytes = delivery({ properties, content })
    const next = delivery()
    const read = readDeliverFrames(Buffer.concat([bytes, next]))
    const expected = readByAmqplib(bytes)
    expect(read?.frames).toStrictEqual(expected.frames)
    expect(read?.end).toBe(bytes.length)
  }
})

test('what is not there as a whole is left to amqplib', () => {
  const bytes = delivery({ properties: usual['every property'] ?? {} })
  for (let length = 0; length < bytes.length; length += 1) {
    expect(readDeliverFrames(bytes.subarray(0, length))).toBeUndefined()
  }
})

const unusual: Readonly<Record<string, Parts>> = {
  'no content': { content: Buffer.alloc(0), bodies: [] },
  'content in two frames': { bodies: [body.subarray(0, 3), body.subarray(3)] },
  'a header that is a number': { properties: { headers: { 'x-delivery-count': 1 } } },
  'a header that is a list': { properties: { headers: { CC: ['way'] } } },
  'a message that came back': { method: defs.BasicReturn },
}

test.each(Object.entries(unusual))('%s is left to amqplib', (_, parts) => {
  expect(readDeliverFrames(delivery(parts))).toBeUndefined()
})

test('what is no valid delivery is left to amqplib', () => {
  const bytes = delivery({ properties: usual['what core sends'] ?? {} })
  let refused = 0
  for (let at = 0; at < bytes.length; at += 1) {
    const broken = Buffer.from(bytes)
    broken[at] = (broken[at] ?? 0) ^ 0xff
    let expected: object[] | undefined
    try {
      const read = readByAmqplib(broken)
      expected = read.rest.length === 0 ? read.frames : undefined
    } catch {
      expected = undefined
    }
    const read = readDeliverFrames(broken)
    if (read === undefined) refused += 1
    else expect(read.frames).toEqual(expected)
  }
  expect(refused).toBeGreaterThan(20)
})
