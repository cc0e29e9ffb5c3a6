import { gzipSync } from 'node:zlib'
import { headerNames, type OutboundMessage } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import type { AmqpMessage, PublishOptions } from './amqp.ts'
import {
  fromAmqp,
  letterId,
  partitionOfLetter,
  priorityOf,
  shortenHeaders,
  toAmqp,
  toCopy,
  withDelay,
} from './messages.ts'

const outbound: OutboundMessage = {
  topic: { name: 'orders', ordered: false, partitions: 8, native: {} },
  type: 'order.created',
  id: 'id-1',
  key: undefined,
  body: new Uint8Array([1, 2, 3]),
  contentType: 'application/cloudevents+json',
  attributes: { id: 'id-1', type: 'order.created' },
  headers: { tenant: 'blue' },
  delayMs: 0,
  priority: undefined,
  expiresAt: undefined,
}

/** What a consumer gets of what was published. */
function received(
  { body, options }: { readonly body: Buffer; readonly options: PublishOptions },
  extraHeaders: Readonly<Record<string, unknown>> = {},
  redelivered = false,
): AmqpMessage {
  return {
    content: body,
    fields: { deliveryTag: 1, redelivered, exchange: 'orders', routingKey: 'order.created' },
    properties: {
      contentType: options.contentType,
      contentEncoding: options.contentEncoding,
      headers: { ...options.headers, ...extraHeaders },
      deliveryMode: 2,
      priority: options.priority,
      correlationId: options.correlationId,
      replyTo: options.replyTo,
      expiration: options.expiration,
      messageId: options.messageId,
      timestamp: options.timestamp,
      type: options.type,
      userId: undefined,
      appId: options.appId,
      clusterId: undefined,
    },
  }
}

test('attributes travel in the spelling of the AMQP binding, and come back with the headers', () => {
  const amqp = toAmqp(outbound, 0, 'all')
  expect(amqp.options.headers).toEqual({
    'cloudEvents:id': 'id-1',
    'cloudEvents:type': 'order.created',
    tenant: 'blue',
  })
  expect(fromAmqp(received(amqp))).toEqual({
    body: Buffer.from([1, 2, 3]),
    contentType: 'application/cloudevents+json',
    headers: { 'cloudEvents:id': 'id-1', 'cloudEvents:type': 'order.created', tenant: 'blue' },
    attempt: 1,
    deliveries: 1,
    crashes: 0,
    timestamp: undefined,
    transportId: 'id-1',
    subject: 'order.created',
    isUncounted: false,
    remainingMs: 0,
  })
})

test('how many attributes are repeated is the user’s to say', () => {
  const message = { ...outbound, attributes: { id: 'id-1', time: '2026-01-01T00:00:00Z' } }
  expect(toAmqp(message, 0, 'all').options.headers).toHaveProperty('cloudEvents:time')
  expect(toAmqp(message, 0, 'required').options.headers).toEqual({ 'cloudEvents:id': 'id-1', tenant: 'blue' })
  expect(toAmqp(message, 0, 'none').options.headers).toEqual({ tenant: 'blue' })
})

test('messages are persistent and come back when no queue wants them', () => {
  expect(toAmqp(outbound, 0, 'all').options).toMatchObject({
    persistent: true,
    mandatory: true,
    messageId: 'id-1',
  })
})

test('headers that the broker would take for its own arrive all the same', () => {
  const headers = {
    CC: 'a',
    BCC: 'b',
    'x-death': 'c',
    'x-delivery-count': 'd',
    'waybill:CC': 'e',
    'x-tenant': 'f',
  }
  const amqp = toAmqp({ ...outbound, headers }, 0, 'all')
  expect(Object.keys(amqp.options.headers ?? {})).not.toContain('CC')
  expect(amqp.options.headers).toMatchObject({ 'x-tenant': 'f' })
  expect(fromAmqp(received(amqp)).headers).toMatchObject(headers)
})

test('the broker’s own headers do not reach core', () => {
  const message = received(toAmqp(outbound, 0, 'all'), {
    'x-death': [{ count: 1 }],
    'x-first-death-queue': 'q',
    CC: ['a'],
  })
  expect(Object.keys(fromAmqp(message).headers)).toEqual(['cloudEvents:id', 'cloudEvents:type', 'tenant'])
})

const foreign = {
  n: 1,
  yes: true,
  list: [1, 'a'],
  table: { a: 1 },
  none: null,
  text: Buffer.from('é'),
  bytes: Buffer.from([0xff, 0]),
  'cloudEvents:time': { '!': 'timestamp', value: 1_767_225_600 },
  price: { '!': 'decimal', value: { digits: 1250, places: 2 } },
}

test('foreign header values become text, and null means that there is none', () => {
  const { headers } = fromAmqp(received(toAmqp(outbound, 0, 'all'), foreign))
  expect(headers).toMatchObject({
    n: '1',
    yes: 'true',
    list: '[1,"a"]',
    table: '{"a":1}',
    text: 'é',
    bytes: '/wA=',
    'cloudEvents:time': '2026-01-01T00:00:00.000Z',
    price: '12.50',
  })
  expect(headers).not.toHaveProperty('none')
})

test('in a copy foreign header values stay what they were, unless their text was changed', () => {
  const source = received({ body: Buffer.from('body'), options: {} }, foreign)
  const { headers } = fromAmqp(source)
  expect(toCopy(source, headers).options.headers).toEqual(foreign)
  expect(toCopy(source, { ...headers, n: '2' }).options.headers).toEqual({ ...foreign, n: '2' })
})

test('the body is unpacked for core and stays packed in copies', () => {
  const packed = gzipSync('body')
  const source = received({ body: packed, options: { contentEncoding: 'gzip' } })
  expect(Buffer.from(fromAmqp(source).body).toString()).toBe('body')
  expect(toCopy(source, {})).toMatchObject({ body: packed, options: { contentEncoding: 'gzip' } })
  const broken = received({ body: Buffer.from('no gzip'), options: { contentEncoding: 'gzip' } })
  expect(Buffer.from(fromAmqp(broken).body).toString()).toBe('no gzip')
})

test('the native timestamp is in seconds, or in milliseconds where seconds make no sense', () => {
  const sent = (timestamp: number) => fromAmqp(received({ body: Buffer.alloc(0), options: { timestamp } }))
  expect(sent(1_767_225_600).timestamp).toBe(1_767_225_600_000)
  expect(sent(1_767_225_600_123).timestamp).toBe(1_767_225_600_123)
})

test('crashes are the returns of this copy and what it carries, but few are certain on an ordered topic', () => {
  const source = received(toAmqp(outbound, 0, 'all'), { 'x-delivery-count': 2 }, true)
  expect(fromAmqp(source)).toMatchObject({ deliveries: 3, crashes: 2, isUncounted: false })
  expect(fromAmqp(source, true)).toMatchObject({ deliveries: 3, crashes: 0 })
  const returned = received(toCopy(source, {}, { counts: { deliveries: 3, crashes: 2 } }))
  expect(fromAmqp(returned)).toMatchObject({ deliveries: 4, crashes: 2 })
  const { 'x-delivery-count': _, ...classic } = source.properties.headers ?? {}
  const uncounted = { ...source, properties: { ...source.properties, headers: classic } }
  expect(fromAmqp(uncounted)).toMatchObject({ crashes: 0, isUncounted: true })
  const givenBack = received(toAmqp(outbound, 0, 'all'), { 'x-acquired-count': 1 }, true)
  expect(fromAmqp(givenBack)).toMatchObject({ deliveries: 2, crashes: 0, isUncounted: false })
})

test('deliveries count this one and the earlier ones, as far as the broker tells', () => {
  const amqp = toAmqp(outbound, 0, 'all')
  expect(fromAmqp(received(amqp, { 'x-delivery-count': 2 })).deliveries).toBe(3)
  expect(fromAmqp(received(amqp, { 'x-delivery-count': 1, 'x-acquired-count': 4 })).deliveries).toBe(5)
  expect(fromAmqp(received(amqp, {}, true)).deliveries).toBe(2)
})

test('a copy has the same body and properties, and exactly the headers given', () => {
  const source = received({
    body: Buffer.from('body'),
    options: {
      contentType: 'text/plain',
      contentEncoding: 'gzip',
      correlationId: 'c',
      headers: { old: 'x' },
    },
  })
  const copy = toCopy(source, { [headerNames.attempt]: '2' })
  expect(copy.body).toBe(source.content)
  expect(copy.options).toEqual({
    persistent: true,
    mandatory: true,
    contentType: 'text/plain',
    contentEncoding: 'gzip',
    correlationId: 'c',
    headers: { [headerNames.attempt]: '2' },
  })
  expect(fromAmqp(received(copy)).attempt).toBe(2)
})

test('what is left of a delay travels in a header that core does not see', () => {
  const { body, options } = toAmqp({ ...outbound, delayMs: 5000 }, 0, 'all')
  const message = fromAmqp(received({ body, options: withDelay(options, 4000, 'way') }))
  expect(message.remainingMs).toBe(4000)
  expect(Object.keys(message.headers)).toEqual(['cloudEvents:id', 'cloudEvents:type', 'tenant'])
  expect(withDelay(options, 0, 'way')).toMatchObject({ CC: ['way', 'waybill-delay.due'] })
})

test('a message that waits carries no priority, or it would leave the delay queue out of turn', () => {
  expect(toAmqp({ ...outbound, priority: 9 }, 0, 'all').options.priority).toBe(9)
  expect(toAmqp({ ...outbound, priority: 9, delayMs: 1 }, 0, 'all').options.priority).toBeUndefined()
  expect(priorityOf({ [headerNames.priority]: '7' })).toBe(7)
  expect(priorityOf({})).toBeUndefined()
  expect(priorityOf({ [headerNames.priority]: 'high' })).toBeUndefined()
})

test('the broker may drop a message at its expiry, unless it waits first', () => {
  expect(toAmqp({ ...outbound, expiresAt: 5000 }, 2000, 'all').options.expiration).toBe('3000')
  expect(toAmqp({ ...outbound, expiresAt: 1000 }, 2000, 'all').options.expiration).toBe('0')
  expect(toAmqp({ ...outbound, expiresAt: 5000, delayMs: 1 }, 2000, 'all').options.expiration).toBeUndefined()
})

test('a dead letter knows its id and its partition', () => {
  const headers = { [headerNames.deadLetterId]: 'letter-1' }
  const letter = received(toCopy(received(toAmqp(outbound, 0, 'all')), headers, { partition: 3 }))
  expect(letterId(letter, fromAmqp(letter).headers)).toBe('letter-1')
  expect(partitionOfLetter(letter)).toBe(3)
})

test('a letter that the broker moved has an id that stays the same', () => {
  const byMessageId = received(toAmqp(outbound, 0, 'all'))
  expect(letterId(byMessageId, {})).toBe('id-1')
  const anonymous = received({ body: Buffer.from('x'), options: {} })
  expect(letterId(anonymous, {})).toBe(letterId(anonymous, {}))
})

test('a failure record that is too long for AMQP is cut before anything else is lost', () => {
  const record = {
    [headerNames.errorStack]: 's'.repeat(9000),
    [headerNames.errorMessage]: 'm'.repeat(300),
    tenant: 'blue',
  }
  const once = shortenHeaders({ headers: record, contentType: 'application/cloudevents+json' })
  expect(once.headers).toMatchObject({
    [headerNames.errorMessage]: record[headerNames.errorMessage],
    tenant: 'blue',
  })
  expect(String(once.headers?.[headerNames.errorStack]).length).toBeLessThan(256)
  const twice = shortenHeaders(once)
  expect(String(twice.headers?.[headerNames.errorMessage]).length).toBeLessThan(256)
  expect(
    shortenHeaders({ ...twice, headers: { ...twice.headers, 'cloudEvents:id': '1' } }).headers,
  ).not.toHaveProperty('cloudEvents:id')
})
