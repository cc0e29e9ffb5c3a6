import { describe, expect, test } from 'vitest'
import {
  type Codec,
  cloudEvents,
  eventBridge,
  json,
  massTransit,
  nestEvents,
  s3Events,
  snsNotification,
  type WireMessage,
} from '../codecs.ts'
import { ConfigurationError } from '../lib/errors.ts'
import type { Message } from '../messages/message.ts'

const wire = (body: unknown, more: Partial<WireMessage> = {}): WireMessage => ({
  body: typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body)),
  contentType: undefined,
  headers: {},
  topic: 'orders',
  key: undefined,
  subject: undefined,
  ...more,
})

const message: Message = {
  id: 'm-1',
  type: 'order.placed',
  version: 2,
  timestamp: new Date('2026-11-28T10:00:00Z'),
  data: { orderId: 'o-1', total: 42 },
  key: 'o-1',
  metadata: { source: 'shop', correlationId: 'c-1', causationId: 'b-1', tenant: 'acme' },
}

const written = async (codec: Codec, of: Message = message) => {
  const { body, ...rest } = (await codec.encode?.(of)) ?? expect.fail('it only reads')
  return { body: JSON.parse(Buffer.from(body).toString()), ...rest }
}

const said = (decoded: unknown) => JSON.parse(JSON.stringify(decoded))

describe('json', () => {
  const plain = { event: 'order.placed', orderId: 'o-1', total: 42, createdAt: '2026-11-28T10:00:00Z' }

  test('reads what others write', async () => {
    const codec = json({
      type: { field: 'event' },
      time: { field: 'createdAt' },
      id: { header: 'X-Message-Id' },
    })
    expect(await codec.decode(wire(plain, { headers: { 'x-message-id': 'h-1' } }))).toMatchObject({
      type: 'order.placed',
      id: 'h-1',
      time: new Date('2026-11-28T10:00:00Z'),
      data: plain,
    })
  })

  test('writes what others expect, and reads it back', async () => {
    const codec = json({
      type: { field: 'event' },
      id: { field: 'meta.id' },
      time: { field: 'createdAt' },
      key: { header: 'order' },
      version: { header: 'v' },
      source: { header: 'from' },
      correlationId: { field: 'meta.correlation' },
    })
    const result = await written(codec)
    expect(result).toEqual({
      body: {
        event: 'order.placed',
        orderId: 'o-1',
        total: 42,
        meta: { id: 'm-1', correlation: 'c-1' },
        createdAt: '2026-11-28T10:00:00.000Z',
      },
      contentType: 'application/json',
      headers: { order: 'o-1', v: '2', from: 'shop' },
    })
    expect(
      await codec.decode(wire(result.body, { ...result, body: Buffer.from(JSON.stringify(result.body)) })),
    ).toMatchObject({
      type: 'order.placed',
      id: 'm-1',
      key: 'o-1',
      version: 2,
      source: 'shop',
      time: message.timestamp,
      metadata: { correlationId: 'c-1' },
    })
  })

  test('has the data in a field of its own', async () => {
    const codec = json({ type: { field: 'kind' }, data: { field: 'payload' } })
    expect((await written(codec)).body).toEqual({
      kind: 'order.placed',
      payload: { orderId: 'o-1', total: 42 },
    })
    expect(await codec.decode(wire({ kind: 'a', payload: [1] }))).toMatchObject({ type: 'a', data: [1] })
    expect(await codec.decode(wire({ kind: 'a', payload: null }))).toMatchObject({ type: 'a', data: null })
    expect(await codec.decode(wire({ kind: 'a' }))).toBeUndefined()
  })

  test.each<[string, Parameters<typeof json>[0]['type'], Partial<WireMessage>]>([
    ['a header, whatever its case', { header: 'Event-Type' }, { headers: { 'event-type': 'order.placed' } }],
    ['the routing key', 'routing-key', { subject: 'order.placed' }],
    ['the topic', { fixed: 'order.placed' }, {}],
    ['the first place that has one', [{ field: 'a.b' }, { header: 'x' }, { fixed: 'order.placed' }], {}],
  ])('finds the type in %s', async (_what, type, more) => {
    expect(await json({ type }).decode(wire({ n: 1 }, more))).toMatchObject({
      type: 'order.placed',
      data: { n: 1 },
    })
  })

  test('knows others’ names of types', async () => {
    const codec = json({ type: { field: 'event' }, types: { 'order.placed': 'OrderPlaced' } })
    expect((await written(codec)).body.event).toBe('OrderPlaced')
    expect(await codec.decode(wire({ event: 'OrderPlaced' }))).toMatchObject({ type: 'order.placed' })
    expect(await codec.decode(wire({ event: 'Else' }))).toMatchObject({ type: 'Else' })
  })

  test.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [1_795_860_000, '2026-11-28T10:00:00.000Z'],
    [1_795_860_000_123, '2026-11-28T10:00:00.123Z'],
    ['1795860000', '2026-11-28T10:00:00.000Z'],
    ['2026-11-28T11:00:00+01:00', '2026-11-28T10:00:00.000Z'],
  ])('takes %j as a time', async (at, expected) => {
    const codec = json({ type: { fixed: 'a' }, time: { field: 'at' } })
    expect(said(await codec.decode(wire({ at })))).toMatchObject({ time: expected })
  })

  test.each(['soon', true, {}, '2026-99-99'])('refuses %j as a time', (at) => {
    const codec = json({ type: { fixed: 'a' }, time: { field: 'at' } })
    expect(() => codec.decode(wire({ at }))).toThrow('time: expected an ISO 8601 time')
  })

  test.each<[string, WireMessage]>([
    ['no JSON, without a content type', wire('what is this')],
    ['an object without a type', wire({ orderId: 'o-1' })],
    ['an array', wire([plain])],
    ['null', wire('null')],
    ['nothing', wire('')],
    ['bytes that are no UTF-8', wire('', { body: Uint8Array.of(0x7b, 0xff, 0x7d) })],
    ['an event', wire({ specversion: '1.0', id: 'i', source: 's', type: 't', event: 'x' })],
    ['another content type', wire(plain, { contentType: 'application/x-protobuf' })],
    ['an empty object', wire('{}')],
  ])('leaves %s to other codecs', async (_what, message) => {
    expect(await json({ type: { field: 'event' } }).decode(message)).toBeUndefined()
  })

  test('reads an array or a number where nothing is in the body', async () => {
    expect(await json({ type: { fixed: 'a' } }).decode(wire([1]))).toMatchObject({ data: [1] })
    expect(await json({ type: { fixed: 'a' } }).decode(wire('7'))).toMatchObject({ data: 7 })
  })

  test('refuses broken JSON that says it is JSON', () => {
    const codec = json({ type: { field: 'event' } })
    for (const contentType of [
      'application/json',
      'application/json; charset=utf-8',
      'application/problem+json',
    ])
      expect(() => codec.decode(wire('{', { contentType }))).toThrow(/JSON/)
  })

  test('keeps integers exactly, and a byte order mark does no harm', async () => {
    const codec = json({ type: { field: 'event' }, id: { field: 'n' } })
    const decoded = await codec.decode(wire('\uFEFF{"event":"a","n":12345678901234567890}'))
    expect(decoded).toMatchObject({ id: '12345678901234567890', data: { n: 12345678901234567890n } })
  })

  test('leaves it to CloudEvents headers to tell the type', async () => {
    const headers = { ce_specversion: '1.0', ce_type: 'order.placed' }
    const decoded = await json({ type: { field: 'event' } }).decode(wire({ n: 1 }, { headers }))
    expect(decoded).toMatchObject({ data: { n: 1 }, type: undefined })
  })

  test('refuses what it cannot write', async () => {
    const codec = json({ type: { field: 'event' } })
    expect(() => codec.encode?.({ ...message, data: { event: 'other' } })).toThrow(
      'the field event of the data is "other", but the codec writes "order.placed" there',
    )
    expect(() => codec.encode?.({ ...message, data: [1] })).toThrow('the data has to be an object')
    expect(() => codec.encode?.({ ...message, data: Uint8Array.of(1) })).toThrow(
      'bytes cannot be written as JSON',
    )
    expect(() => codec.encode?.({ ...message, data: undefined })).toThrow('there is no data')
    expect(() => json({ type: { fixed: 'else' } }).encode?.(message)).toThrow('the type is fixed as else')
    expect((await written(codec, { ...message, data: { event: 'order.placed' } })).body).toEqual({
      event: 'order.placed',
    })
  })

  test('lists every problem of its options', () => {
    const wrong = { type: { field: '__proto__.x' }, id: { fixed: 'always' }, tyme: 1 } as never
    expect(() => json(wrong)).toThrow(ConfigurationError)
    try {
      json(wrong)
    } catch (error) {
      expect((error as ConfigurationError).issues.map(({ path }) => path)).toEqual(['type', 'id', ''])
    }
  })
})

describe('cloudEvents', () => {
  test('in binary mode has the data alone in the body', async () => {
    const codec = cloudEvents({ mode: 'binary' })
    expect(await written(codec)).toEqual({
      body: { orderId: 'o-1', total: 42 },
      contentType: 'application/json',
    })
    expect(await codec.encode?.({ ...message, data: Uint8Array.of(1, 2) })).toEqual({
      body: Uint8Array.of(1, 2),
      contentType: 'application/octet-stream',
    })
    expect((await codec.encode?.({ ...message, data: undefined }))?.body).toHaveLength(0)
  })

  test('in structured mode has it all in the body', async () => {
    expect(await written(cloudEvents())).toMatchObject({
      body: { specversion: '1.0', id: 'm-1', type: 'order.placed', data: { orderId: 'o-1', total: 42 } },
      contentType: 'application/cloudevents+json',
    })
  })
})

describe('nestEvents', () => {
  const codec = nestEvents({ types: { 'order.placed': 'order_placed' } })

  test('reads and writes NestJS’s envelope', async () => {
    expect(
      await nestEvents().decode(wire({ pattern: 'order.placed', data: { orderId: 'o-1', total: 42 } })),
    ).toEqual({
      type: 'order.placed',
      data: { orderId: 'o-1', total: 42 },
      id: undefined,
    })
    expect(await written(codec)).toEqual({
      body: { pattern: 'order_placed', data: { orderId: 'o-1', total: 42 } },
      contentType: 'application/json',
    })
    expect(await codec.decode(wire({ pattern: 'order_placed', data: 'text', id: 'r-1' }))).toEqual({
      type: 'order.placed',
      data: 'text',
      id: 'r-1',
    })
  })

  test('knows patterns that are objects, as NestJS routes them', async () => {
    const route = '{"cmd":"sum","version":1}'
    expect(await codec.decode(wire({ pattern: { version: 1, cmd: 'sum' }, data: [1, 2] }))).toMatchObject({
      type: route,
      data: [1, 2],
    })
    expect((await written(codec, { ...message, type: route })).body.pattern).toEqual({
      cmd: 'sum',
      version: 1,
    })
  })

  test.each([
    ['a field called pattern', { pattern: 'a', data: 1, more: 2 }],
    ['no pattern', { data: 1 }],
    ['an empty pattern', { pattern: '', data: 1 }],
    ['an array', [{ pattern: 'a', data: 1 }]],
  ])('leaves %s to other codecs', async (_what, body) => {
    expect(await codec.decode(wire(body))).toBeUndefined()
  })

  test('has data or none', async () => {
    expect(await codec.decode(wire({ pattern: 'a' }))).toMatchObject({ type: 'a', data: undefined })
    expect(await codec.decode(wire({ pattern: 'a', data: null }))).toMatchObject({ type: 'a', data: null })
  })
})

describe('massTransit', () => {
  const codec = massTransit({ types: { 'order.placed': 'Shop.Contracts:OrderPlaced' } })
  const envelope = {
    messageId: '5f6d0000-0000-0000-0000-000000000001',
    conversationId: '5f6d0000-0000-0000-0000-000000000002',
    sourceAddress: 'rabbitmq://localhost/shop',
    messageType: ['urn:message:Shop.Contracts:IOrderEvent', 'urn:message:Shop.Contracts:OrderPlaced'],
    message: { orderId: 'o-1', total: 42 },
    sentTime: '2026-11-28T10:00:00.0000000Z',
    headers: { tenant: 'acme', retries: 3 },
    host: { machineName: 'm1' },
  }

  test('reads and writes MassTransit’s envelope', async () => {
    const contentType = 'application/vnd.masstransit+json'
    expect(said(await codec.decode(wire(envelope, { contentType })))).toEqual({
      type: 'order.placed',
      data: { orderId: 'o-1', total: 42 },
      id: '5f6d0000-0000-0000-0000-000000000001',
      source: 'rabbitmq://localhost/shop',
      time: '2026-11-28T10:00:00.000Z',
      metadata: { tenant: 'acme', correlationId: '5f6d0000-0000-0000-0000-000000000002' },
    })
    const { messageId: id, conversationId: correlationId } = envelope
    const metadata = { source: 'amqp://shop/orders', correlationId, causationId: id, tenant: 'acme' }
    const result = await written(codec, { ...message, id, metadata })
    expect(result).toMatchObject({
      contentType,
      body: {
        messageId: id,
        messageType: ['urn:message:Shop.Contracts:OrderPlaced'],
        message: { orderId: 'o-1', total: 42 },
        headers: { tenant: 'acme' },
        initiatorId: id,
      },
    })
    expect(await codec.decode(wire(result.body))).toMatchObject({
      type: 'order.placed',
      id,
      source: 'amqp://shop/orders',
      metadata: { correlationId },
    })
  })

  test('writes no id and no address that MassTransit cannot read', async () => {
    const { body } = await written(codec)
    const names = ['messageId', 'conversationId', 'correlationId', 'initiatorId', 'sourceAddress']
    expect(Object.keys(body).filter((name) => names.includes(name))).toEqual([])
    const { body: own } = await written(codec, { ...message, id: envelope.messageId })
    expect(own).toMatchObject({ messageId: envelope.messageId, conversationId: envelope.messageId })
  })

  test('calls a message that is not listed by its class', async () => {
    expect(await massTransit().decode(wire(envelope))).toMatchObject({ type: 'IOrderEvent' })
    expect(await codec.decode(wire({ messageType: [], message: {} }))).toBeUndefined()
    expect(await codec.decode(wire({ messageType: 'OrderPlaced', message: {} }))).toBeUndefined()
  })
})

describe('snsNotification', () => {
  const notification = {
    Type: 'Notification',
    MessageId: 'sns-1',
    TopicArn: 'arn:aws:sns:eu-west-1:000000000000:orders',
    Message: '{"event":"order.placed","orderId":"o-1","total":42}',
    Timestamp: '2026-11-28T10:00:00.000Z',
    MessageAttributes: { eventType: { Type: 'String', Value: 'order.placed' } },
  }

  test('takes the notification off, with its attributes as headers', async () => {
    const decoded = await snsNotification().decode(wire(notification))
    expect(decoded).toMatchObject({
      id: 'sns-1',
      source: 'arn:aws:sns:eu-west-1:000000000000:orders',
      time: new Date('2026-11-28T10:00:00.000Z'),
      inside: { headers: { eventType: 'order.placed' }, contentType: undefined },
    })
    if (decoded === undefined || !('inside' in decoded)) expect.fail('nothing was taken off')
    expect(Buffer.from(decoded.inside.body).toString()).toBe(notification.Message)
  })

  test.each([
    ['a confirmation', { ...notification, Type: 'SubscriptionConfirmation' }],
    ['a body that only looks like one', { Type: 'Notification', Message: '{}' }],
    ['a message that is no text', { ...notification, Message: { a: 1 } }],
  ])('leaves %s to other codecs', async (_what, body) => {
    expect(await snsNotification().decode(wire(body))).toBeUndefined()
  })
})

describe('s3Events', () => {
  const record = (eventName: string, key: unknown) => ({
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    eventTime: '2026-11-28T10:00:01.000Z',
    eventName,
    s3: { bucket: { name: 'invoices' }, object: { key, size: 1024 } },
  })

  test('makes one message of a notification, with decoded keys', async () => {
    const body = {
      Records: [
        record('ObjectCreated:Put', '2026/o-1+final%C3%BC.pdf'),
        record('ObjectRemoved:Delete', '100%'),
        record('ObjectRemoved:Delete', undefined),
      ],
    }
    const decoded = await s3Events().decode(wire(body))
    expect(decoded).toMatchObject({
      type: 's3.notification',
      source: 'arn:aws:s3:::invoices',
      time: new Date('2026-11-28T10:00:01.000Z'),
      data: {
        Records: [
          { eventName: 'ObjectCreated:Put', s3: { object: { key: '2026/o-1 finalü.pdf', size: 1024 } } },
          { s3: { object: { key: '100%' } } },
          { s3: { object: { size: 1024 } } },
        ],
      },
    })
  })

  test('gives the test event a type of its own', async () => {
    const body = {
      Service: 'Amazon S3',
      Event: 's3:TestEvent',
      Time: '2026-11-28T10:00:00.000Z',
      Bucket: 'invoices',
      RequestId: 'R1',
    }
    expect(await s3Events().decode(wire(body))).toMatchObject({ type: 's3.test', id: 'R1', data: body })
    expect(await s3Events({ testType: 'hello', type: 'upload' }).decode(wire(body))).toMatchObject({
      type: 'hello',
    })
  })

  test.each([
    ['no records', { Records: [] }],
    ['records of others', { Records: [{ eventSource: 'aws:dynamodb', dynamodb: {} }] }],
    ['records that are none', { Records: [null] }],
    ['something else', { records: 1 }],
  ])('leaves %s to other codecs', async (_what, body) => {
    expect(await s3Events().decode(wire(body))).toBeUndefined()
  })
})

describe('eventBridge', () => {
  const event = {
    version: '0',
    id: 'e-1',
    'detail-type': 'OrderPlaced',
    source: 'shop.orders',
    account: '000000000000',
    time: '2026-11-28T10:00:00Z',
    region: 'eu-west-1',
    resources: ['a', 'b'],
    detail: { orderId: 'o-1', total: 42 },
  }

  test('reads the detail as data', async () => {
    expect(await eventBridge().decode(wire(event))).toEqual({
      type: 'OrderPlaced',
      data: { orderId: 'o-1', total: 42 },
      id: 'e-1',
      source: 'shop.orders',
      time: new Date('2026-11-28T10:00:00Z'),
      metadata: { account: '000000000000', region: 'eu-west-1', resources: 'a b' },
    })
  })

  test('makes types of detail types with white space, or as it is told', async () => {
    const body = { ...event, 'detail-type': 'Object  Created' }
    expect(await eventBridge().decode(wire(body))).toMatchObject({ type: 'Object-Created' })
    const codec = eventBridge({ type: ({ detailType, source }) => `${source}.${detailType.length}` })
    expect(await codec.decode(wire(body))).toMatchObject({ type: 'shop.orders.15' })
  })

  test('leaves others to other codecs', async () => {
    expect(await eventBridge().decode(wire({ 'detail-type': 'a' }))).toBeUndefined()
    expect(await eventBridge().decode(wire({ 'detail-type': 1, detail: {} }))).toBeUndefined()
  })
})
