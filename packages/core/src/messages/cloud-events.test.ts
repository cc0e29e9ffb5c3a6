import { CloudEvent, HTTP, Kafka } from 'cloudevents'
import { describe, expect, test } from 'vitest'
import type { OutboundMessage } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'
import { decodeDelivery, encodeMessage, isReservedName, toMessage } from './cloud-events.ts'
import type { Message } from './message.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder()

function message(parts: Partial<Message> = {}): Message {
  return {
    id: '0195a0b0-0000-7000-8000-000000000001',
    type: 'order.created',
    version: 2,
    timestamp: new Date('2026-01-02T03:04:05.678Z'),
    data: { orderId: 'o-1', total: 42.5 },
    metadata: { source: '/checkout' },
    ...parts,
  }
}

type Encoded = Pick<OutboundMessage, 'body' | 'contentType' | 'attributes' | 'headers'>

/** As a driver brings it: the attributes mirrored in a binding's spelling. */
function delivered({ body, contentType, attributes, headers }: Encoded, prefix = 'ce-') {
  const mirrored = Object.entries(attributes).map(([name, value]) => [`${prefix}${name}`, value])
  return { body, contentType, headers: { ...headers, ...Object.fromEntries(mirrored) } }
}

const decode = (delivery: Parameters<typeof decodeDelivery>[0], receivedAt = 0) =>
  toMessage(decodeDelivery(delivery), receivedAt)

const roundTrip = (sent: Message) => decode(delivered(encodeMessage(sent)))

describe('a message comes back as it was sent', () => {
  test('with everything a message can have', () => {
    const full = message({
      key: 'o-1',
      expiresAt: new Date('2026-02-03T04:05:06.789Z'),
      metadata: {
        source: '/checkout',
        correlationId: 'c-1',
        causationId: 'm-0',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'vendor=value',
        tenant: 'acme',
        'X-Trace.id': 'a b',
      },
    })
    expect(roundTrip(full)).toEqual(full)
  })

  test('with the least it can have', () => {
    expect(roundTrip(message())).toEqual(message())
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['an empty object', {}],
    ['a list', [1, [2, null]]],
    ['text', 'text'],
    ['empty text', ''],
    ['a number', 0],
    ['false', false],
    ['emoji', { '👩‍👩‍👧': '🏳️‍🌈 e\u0301' }],
    ['a lone surrogate', '\ud800'],
    ['composed letters', 'Å'.normalize('NFC')],
    ['decomposed letters', 'Å'.normalize('NFD')],
    ['line ends and NUL', 'a\r\nb\u0000c\u2028d'],
  ])('with %s as data', (_name, data) => {
    expect(roundTrip(message({ data })).data).toEqual(data)
  })

  test('with bytes as data, every value of a byte among them', () => {
    const data = Uint8Array.from({ length: 256 }, (_, index) => index)
    expect(roundTrip(message({ data })).data).toEqual(data)
    expect(roundTrip(message({ data: new Uint8Array(0) })).data).toEqual(new Uint8Array(0))
  })

  test('with a window on a larger buffer as data', () => {
    const data = new Uint8Array([1, 2, 3, 4]).subarray(1, 3)
    expect(roundTrip(message({ data })).data).toEqual(new Uint8Array([2, 3]))
  })

  test('with any text as key and as metadata', () => {
    const odd = message({ key: 'ключ 🔑', metadata: { source: 's', note: 'é\n"\\ 🧾', empty: '' } })
    expect(roundTrip(odd)).toEqual(odd)
  })

  test('whatever the transport makes of the mirrored attributes: the body counts', () => {
    const encoded = encodeMessage(message())
    const other = { ...delivered(encoded).headers, 'ce-id': 'other', 'ce-type': 'other' }
    expect(decode({ body: encoded.body, contentType: encoded.contentType, headers: other })).toEqual(
      message(),
    )
    expect(decode({ body: encoded.body, contentType: undefined, headers: {} })).toEqual(message())
  })

  test('with a header named like a member of every object', () => {
    const odd = message({ metadata: { source: 's', constructor: 'mine', toString: 'mine' } })
    expect(roundTrip(odd)).toEqual(odd)
  })
})

test('what cannot be written as JSON throws instead of travelling in part', () => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  expect(() => encodeMessage(message({ data: cycle }))).toThrow(/circular/i)
  expect(() => encodeMessage(message({ data: 1n }))).toThrow(/BigInt/)
})

test('attributes are mirrored as text, and metadata of one’s own travels as it is named', () => {
  const { attributes, headers, contentType } = encodeMessage(
    message({ key: 'k', metadata: { source: 's', correlationId: 'c', tenant: 'acme' } }),
  )
  expect(contentType).toBe('application/cloudevents+json')
  expect(attributes).toEqual({
    specversion: '1.0',
    id: '0195a0b0-0000-7000-8000-000000000001',
    source: 's',
    type: 'order.created',
    time: '2026-01-02T03:04:05.678Z',
    datacontenttype: 'application/json',
    dataversion: '2',
    partitionkey: 'k',
    correlationid: 'c',
  })
  expect(headers).toEqual({ tenant: 'acme' })
})

describe('the official CloudEvents package reads ours', () => {
  const read = (sent: Message) => {
    const { body, contentType } = encodeMessage(sent)
    const event = HTTP.toEvent({ headers: { 'content-type': contentType }, body: text.decode(body) })
    if (Array.isArray(event)) throw new Error('a batch')
    return new CloudEvent(event, true)
  }

  test('as a valid event with all its attributes', () => {
    const event = read(
      message({
        key: 'k',
        expiresAt: new Date('2026-02-03T04:05:06.000Z'),
        metadata: { source: '/checkout', correlationId: 'c', causationId: 'm', tracestate: 'a=b' },
      }),
    )
    expect(event.validate()).toBe(true)
    expect(event).toMatchObject({
      specversion: '1.0',
      id: '0195a0b0-0000-7000-8000-000000000001',
      source: '/checkout',
      type: 'order.created',
      time: '2026-01-02T03:04:05.678Z',
      datacontenttype: 'application/json',
      data: { orderId: 'o-1', total: 42.5 },
      dataversion: 2,
      partitionkey: 'k',
      expirytime: '2026-02-03T04:05:06.000Z',
      correlationid: 'c',
      causationid: 'm',
      tracestate: 'a=b',
    })
  })

  test('with bytes', () => {
    const event = read(message({ data: new Uint8Array([0, 255, 128]) }))
    expect(event.datacontenttype).toBe('application/octet-stream')
    expect(event.data_base64).toBe(Buffer.from([0, 255, 128]).toString('base64'))
  })
})

const foreign = () =>
  new CloudEvent({
    id: 'f-1',
    source: '/foreign',
    type: 'order.created',
    time: '2020-02-29T12:34:56.789Z',
    datacontenttype: 'application/json',
    subject: 'o-1',
    dataschema: 'https://example.com/schema',
    data: { orderId: 'o-1' },
    partitionkey: 'k',
    correlationid: 'c',
    tenantid: 'acme',
  })

const foreignMessage: Message = {
  id: 'f-1',
  type: 'order.created',
  version: 1,
  timestamp: new Date('2020-02-29T12:34:56.789Z'),
  data: { orderId: 'o-1' },
  key: 'k',
  metadata: { source: '/foreign', correlationId: 'c', tenantid: 'acme' },
}

function textHeaders(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  const present = Object.entries(headers).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present.map(([name, value]) => [name, String(value)]))
}

const json = utf8.encode(JSON.stringify({ orderId: 'o-1' }))

describe('we read the official CloudEvents package', () => {
  test('in structured mode', () => {
    const { headers, body } = HTTP.structured(foreign())
    const contentType = String(headers['content-type'])
    expect(contentType).toContain('charset')
    expect(decode({ body: utf8.encode(String(body)), contentType, headers: {} })).toEqual(foreignMessage)
  })

  test('in structured mode with bytes', () => {
    const event = foreign().cloneWith({
      datacontenttype: 'image/png',
      data: undefined,
      data_base64: 'AP8=',
    })
    const { body } = HTTP.structured(event)
    const contentType = 'Application/CloudEvents+JSON; charset=utf-8'
    expect(decode({ body: utf8.encode(String(body)), contentType, headers: {} }).data).toEqual(
      new Uint8Array([0, 255]),
    )
  })

  test('in binary mode of HTTP', () => {
    const { 'content-type': contentType, ...headers } = textHeaders(HTTP.binary(foreign()).headers)
    expect(decode({ body: json, contentType, headers })).toEqual(foreignMessage)
  })

  test('in binary mode of Kafka', () => {
    const { 'content-type': contentType, ...headers } = textHeaders(Kafka.binary(foreign()).headers)
    expect(Object.keys(headers)).toContain('ce_id')
    expect(decode({ body: json, contentType, headers })).toEqual(foreignMessage)
  })

  test.each(['cloudEvents:', 'cloudEvents_', 'CE-', 'Ce_'])('in binary mode spelled with %s', (prefix) => {
    const { 'content-type': contentType, ...http } = textHeaders(HTTP.binary(foreign()).headers)
    const headers = Object.fromEntries(
      Object.entries(http).map(([name, value]) => [`${prefix}${name.slice('ce-'.length)}`, value]),
    )
    expect(decode({ body: json, contentType, headers })).toEqual(foreignMessage)
  })

  test('in binary mode where the content type is one header among others', () => {
    const { 'content-type': _, ...headers } = textHeaders(HTTP.binary(foreign()).headers)
    const withType = (name: string, value: string) =>
      decode({ body: json, contentType: undefined, headers: { ...headers, [name]: value } })
    expect(withType('content-type', 'application/json')).toEqual(foreignMessage)
    expect(withType('Content-Type', 'text/plain').data).toBe('{"orderId":"o-1"}')
  })
})

describe('a foreign event in binary mode', () => {
  const headers = { 'ce-specversion': '1.0', 'ce-id': 'f', 'ce-source': '/f', 'ce-type': 't' }

  test.each([
    ['application/json', '{"a":1}', { a: 1 }],
    ['application/json; charset=utf-8', '{"a":1}', { a: 1 }],
    ['application/vnd.acme+json', '[1]', [1]],
    ['TEXT/JSON', '1', 1],
    ['text/plain', '{"a":1}', '{"a":1}'],
    ['application/jsonl', '{}\n{}', utf8.encode('{}\n{}')],
    ['image/png', 'x', utf8.encode('x')],
    [undefined, '{"a":1}', { a: 1 }],
  ])('with content type %s has its data by that type', (contentType, body, data) => {
    expect(decode({ body: utf8.encode(body), contentType, headers }).data).toEqual(data)
  })

  test('without a body has no data', () => {
    expect(decode({ body: new Uint8Array(0), contentType: 'application/json', headers }).data).toBeUndefined()
  })

  test('without a time was sent when it was received; without a version has version 1', () => {
    const { timestamp, version } = decode({ body: json, contentType: 'application/json', headers }, 1234)
    expect(timestamp).toEqual(new Date(1234))
    expect(version).toBe(1)
  })

  test('may tell its version in a header', () => {
    const versioned = { ...headers, 'ce-dataversion': '3' }
    expect(decode({ body: json, contentType: 'application/json', headers: versioned }).version).toBe(3)
  })

  test('keeps the other headers as metadata, but not the transport’s own', () => {
    const all = { ...headers, tenant: 'acme', cart: 'c', 'waybill-attempt': '3', 'Content-Type': 'x' }
    expect(decode({ body: json, contentType: 'application/json', headers: all }).metadata).toEqual({
      source: '/f',
      tenant: 'acme',
      cart: 'c',
    })
  })

  test('may have an extension named like a member of every object', () => {
    const odd = { ...headers, 'ce-constructor': 'mine', 'ce-tostring': 'mine' }
    expect(decode({ body: json, contentType: 'application/json', headers: odd }).metadata).toEqual({
      source: '/f',
      constructor: 'mine',
      tostring: 'mine',
    })
  })
})

describe('undecodable is', () => {
  const structured = (body: string | Uint8Array) => ({
    body: typeof body === 'string' ? utf8.encode(body) : body,
    contentType: 'application/cloudevents+json',
    headers: {},
  })
  const event = { specversion: '1.0', id: 'i', source: 's', type: 't' }

  test.each([
    ['an empty body', structured(''), /JSON/],
    ['bytes that are no UTF-8', structured(new Uint8Array([0xff, 0xfe])), /utf-8|encoded data/i],
    ['no JSON', structured('{'), /JSON/],
    ['JSON that is no object', structured('[]'), /not an object/],
    ['null', structured('null'), /not an object/],
    ['an event without id and type', structured('{"specversion":"1.0","source":"s"}'), /id: .*type: /],
    [
      'an event of another specification',
      structured(JSON.stringify({ ...event, specversion: '0.3' })),
      /1\.0/,
    ],
    [
      'an event with a broken time',
      structured(JSON.stringify({ ...event, time: 'soon' })),
      /time: .*RFC 3339/,
    ],
    ['a version of nonsense', structured(JSON.stringify({ ...event, dataversion: 'x' })), /dataversion/],
    [
      'another content type without CloudEvents headers',
      { body: json, contentType: 'application/json', headers: { tenant: 'acme' } },
      /application\/json, and no CloudEvents headers/,
    ],
    [
      'binary mode with broken JSON',
      { body: utf8.encode('{'), contentType: 'application/json', headers: { 'ce-specversion': '1.0' } },
      /JSON/,
    ],
    [
      'binary mode with text that is no UTF-8',
      { body: new Uint8Array([0xff]), contentType: 'text/plain', headers: { 'ce-specversion': '1.0' } },
      /utf-8|encoded data/i,
    ],
  ])('%s', (_name, delivery, reason) => {
    let caught: unknown
    try {
      decodeDelivery(delivery)
    } catch (error) {
      caught = error
    }
    expect(MessagingError.is(caught) && caught.code).toBe('undecodable')
    expect(String(caught)).toMatch(reason)
  })
})

test.each([
  ...['source', 'correlationId', 'causationId', 'traceparent', 'tracestate'],
  ...['waybill-attempt', 'WAYBILL-x', 'content-type', 'Content-Type'],
  ...['ce-id', 'ce_id', 'CE-ID', 'cloudEvents:id', 'cloudevents_id'],
])('%s is a reserved name', (name) => {
  expect(isReservedName(name)).toBe(true)
})

test.each([
  ...['tenant', 'id', 'type', 'time', 'subject', 'price', 'certificate', 'waybill', 'content-types'],
  ...['constructor', 'toString', 'hasOwnProperty'],
])('%s is a name like any other', (name) => {
  expect(isReservedName(name)).toBe(false)
})
