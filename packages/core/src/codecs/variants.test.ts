import { describe, expect, test } from 'vitest'
import { eventBridge, json, massTransit, nestEvents, s3Events, snsNotification } from '../codecs.ts'
import { BodyReader } from '../encoding/body-reader.ts'
import { Formats } from '../encoding/formats.ts'
import type { Codec } from '../messages/codec.ts'
import type { Message } from '../messages/message.ts'

// All on one queue, as while services move over one by one. Plain JSON comes last: it takes most.
const all = [
  ...[snsNotification(), s3Events(), eventBridge(), massTransit(), nestEvents()],
  json({ type: [{ field: 'event' }, { header: 'eventType' }] }),
]

async function read(body: unknown, codecs: readonly Codec[] = all, contentType?: string): Promise<Message> {
  const reader = new BodyReader(new Formats({ codecs, stages: undefined }, []), 'orders', 'billing')
  const bytes =
    body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const source = { body: bytes, contentType, headers: {}, transportId: 't-1', subject: undefined }
  return await reader.read({ ...source, timestamp: 1000 }, 2000)
}

const ofType = (options: Partial<Parameters<typeof json>[0]> = {}) =>
  json({ type: { fixed: 'order.placed' }, ...options })

const message: Message = {
  ...{ id: 'm-1', type: 'order.placed', version: 1, timestamp: new Date('2026-11-28T10:00:00Z') },
  data: {},
  metadata: { source: 'shop' },
}

async function written(codec: Codec, data: unknown): Promise<unknown> {
  const encoded = await codec.encode?.({ ...message, data })
  return JSON.parse(Buffer.from(encoded?.body ?? []).toString())
}

const sns = (Message: unknown, MessageAttributes: object = {}) => ({
  ...{ Type: 'Notification', MessageId: 'm-1', TopicArn: 'arn:aws:sns:eu-west-1:0:orders' },
  Message: typeof Message === 'string' ? Message : JSON.stringify(Message),
  Timestamp: '2026-11-28T10:00:00.000Z',
  MessageAttributes,
})
const event = { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.placed', data: { n: 1 } }
const upload = { eventSource: 'aws:s3', s3: { bucket: { name: 'b' }, object: { key: 'a+b' } } }
const bridged = { 'detail-type': 'OrderPlaced', source: 'shop', id: 'b-1', detail: { n: 1 } }
const transit = { messageId: 'g', messageType: ['urn:message:Shop:OrderPlaced'], message: { n: 1 } }

describe('one queue', () => {
  test.each([
    ['plain JSON', { event: 'order.placed', n: 1 }, 'order.placed', { event: 'order.placed', n: 1 }],
    ['a CloudEvents event', event, 'order.placed', { n: 1 }],
    ['a Nest event', { pattern: 'order.placed', data: 'text' }, 'order.placed', 'text'],
    ['a MassTransit envelope', transit, 'OrderPlaced', { n: 1 }],
    ['an EventBridge event', bridged, 'OrderPlaced', { n: 1 }],
    ['plain JSON in SNS', sns({ event: 'order.placed' }), 'order.placed', { event: 'order.placed' }],
    ['an array in SNS', sns([1], { eventType: { Type: 'String', Value: 'list' } }), 'list', [1]],
    ['text in SNS', sns('"a"', { eventType: { Type: 'Number', Value: 7 } }), '7', 'a'],
    ['a CloudEvents event in SNS', sns(event), 'order.placed', { n: 1 }],
    ['an EventBridge event in SNS', sns(bridged), 'OrderPlaced', { n: 1 }],
    ['a Nest event in SNS in SNS', sns(sns({ pattern: 'p', data: null })), 'p', null],
  ])('gives %s', async (_what, body, type, data) => {
    expect(await read(body)).toMatchObject({ type, data })
  })

  test.each(['', 'plain', '{', '[]', '{}', 'null', sns('text'), sns({ a: 1 }), { Records: [] }])(
    'makes nothing up of %j: it is undecodable',
    async (body) => {
      await expect(read(body)).rejects.toMatchObject({ code: 'undecodable', retryable: false })
    },
  )
})

describe('json', () => {
  test('finds the type of an array where a field is only one of the places', async () => {
    const codec = json({ type: [{ field: 'event' }, { fixed: 'list' }] })
    expect(await read('[1]', [codec])).toMatchObject({ type: 'list', data: [1] })
  })

  test('leaves bodies whose type is no text to the next codec', async () => {
    const codecs = [json({ type: { field: 'pattern' } }), nestEvents()]
    expect((await read({ pattern: { cmd: 'sum' }, data: 1 }, codecs)).type).toBe('{"cmd":"sum"}')
  })

  test('reads and writes data in a nested field', async () => {
    const codec = ofType({ data: { field: 'a.b' } })
    expect((await read({ a: { b: [1] } }, [codec])).data).toEqual([1])
    expect(await written(codec, [1])).toEqual({ a: { b: [1] } })
    await expect(read({ a: {} }, [codec])).rejects.toMatchObject({ code: 'undecodable' })
  })

  test('reads another charset as what it is', async () => {
    const body = Buffer.from('{"name":"Jörg"}', 'latin1')
    const read1 = await read(body, [ofType()], 'application/json; charset=iso-8859-1')
    expect(read1.data).toEqual({ name: 'Jörg' })
    await expect(read(body, [ofType()], 'application/json')).rejects.toMatchObject({ code: 'undecodable' })
  })

  test('writes the first place that can be written', async () => {
    expect(await written(json({ type: ['routing-key', { field: 'event' }] }), {})).toEqual({
      event: 'order.placed',
    })
  })

  test('writes what a toJSON gives', async () => {
    const data = { cents: 5, toJSON: () => ({ amount: '0.05' }) }
    expect(await written(json({ type: { field: 'event' } }), data)).toEqual({
      amount: '0.05',
      event: 'order.placed',
    })
  })

  test.each([message.timestamp, '2026-11-28T10:00:00Z', '2026-11-28T11:00:00+01:00', 1_795_860_000])(
    'leaves %j as it is where the time goes: it is the same moment',
    async (at) => {
      const data = { at }
      expect(await written(ofType({ time: { field: 'at' } }), data)).toEqual(JSON.parse(JSON.stringify(data)))
    },
  )

  test('refuses to send another version than the fixed one', async () => {
    await expect(written(ofType({ version: { fixed: '2' } }), {})).rejects.toThrow(
      'the version is fixed as 2, and this message has 1',
    )
  })

  test.each(['waybill-attempt', 'ce_type', 'cloudEvents:type', 'Content-Type'])(
    'leaves the header %s to core',
    (header) => {
      expect(() => json({ type: { header } })).toThrow('type: expected')
    },
  )
})

describe('the envelopes', () => {
  test('of S3 come from other servers too, and from several buckets', async () => {
    const minio = { ...upload, eventSource: 'minio:s3' }
    expect(await read({ EventName: 's3:ObjectCreated:Put', Records: [minio] })).toMatchObject({
      ...{ type: 's3.notification', metadata: { source: 'arn:aws:s3:::b' } },
    })
    const other = { ...upload, s3: { ...upload.s3, bucket: { name: 'c' } } }
    expect((await read({ Records: [upload, other] })).filledIn).toContain('source')
  })

  test('of S3 within SNS have the id and time of SNS', async () => {
    const got = await read(sns({ Records: [upload] }))
    expect(got).toMatchObject({ id: 'm-1', timestamp: new Date('2026-11-28T10:00:00Z') })
    expect(got.data).toMatchObject({ Records: [{ s3: { object: { key: 'a b' } } }] })
  })

  test('of Nest have patterns that are text, numbers or objects', async () => {
    expect((await read({ pattern: '{"role":"m","cmd":"s"}', data: 1 })).type).toBe('{"cmd":"s","role":"m"}')
    expect((await read({ pattern: 7, data: 1 })).type).toBe('7')
    for (const pattern of [['a'], true, null, ''])
      await expect(read({ pattern, data: 1 })).rejects.toThrow('None of the codecs')
  })

  test('of EventBridge have a detail type', async () => {
    await expect(read({ ...bridged, 'detail-type': ' ' })).rejects.toThrow('None of the codecs')
    expect((await read({ ...bridged, detail: null })).data).toBeNull()
  })
})
