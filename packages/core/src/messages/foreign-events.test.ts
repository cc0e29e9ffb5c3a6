import { expect, test } from 'vitest'
import { decodeDelivery, toMessage } from './cloud-events.ts'

const structured = (json: string) =>
  toMessage(
    decodeDelivery({
      body: Buffer.from(json),
      contentType: 'application/cloudevents+json; charset=utf-8',
      headers: {},
    }),
    0,
  )

const binary = (headers: Record<string, string>, body = '{"n":1}', contentType?: string) =>
  toMessage(decodeDelivery({ body: Buffer.from(body), contentType, headers }), 0)

test('null means unset for every optional attribute (JSON format 1.0.2, section 2.2)', () => {
  const event = structured(
    '{"specversion":"1.0","id":"e-1","source":"/shop/eu","type":"order.placed","time":null,"datacontenttype":null,"partitionkey":null,"correlationid":null,"causationid":null,"traceparent":null,"tracestate":null,"expirytime":null,"dataversion":null,"subject":null,"mine":null,"data":{"orderId":"o-1","total":42}}',
  )
  expect(event).toEqual({
    id: 'e-1',
    type: 'order.placed',
    version: 1,
    timestamp: new Date(0),
    data: { orderId: 'o-1', total: 42 },
    metadata: { source: '/shop/eu' },
  })
})

test.each(['id', 'source', 'type', 'specversion'])('null is no value for %s', (name) => {
  const event = { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.placed', [name]: null }
  expect(() => structured(JSON.stringify(event))).toThrow(new RegExp(`${name}: expected`))
})

// CloudEvents JSON format 1.0.2, section 3.2, "Examples".
test('the specification’s own examples are read', () => {
  const common = {
    specversion: '1.0',
    type: 'com.example.someevent',
    source: '/mycontext',
    subject: null,
    time: '2018-04-05T17:31:00Z',
    comexampleextension1: 'value',
    comexampleothervalue: 5,
    unsetextension: null,
  }
  const read = (parts: object) => structured(JSON.stringify({ ...common, ...parts }))
  const thrift = read({
    id: 'A234-1234-1234',
    datacontenttype: 'application/vnd.apache.thrift.binary',
    data_base64: Buffer.from('binary').toString('base64'),
  })
  expect(thrift).toMatchObject({
    id: 'A234-1234-1234',
    timestamp: new Date('2018-04-05T17:31:00Z'),
    data: new Uint8Array(Buffer.from('binary')),
    metadata: { source: '/mycontext', comexampleextension1: 'value', comexampleothervalue: '5' },
  })
  expect(thrift.metadata).not.toHaveProperty('unsetextension')
  const xml = '<much wow="xml"/>'
  expect(read({ id: 'B234-1234-1234', datacontenttype: 'application/xml', data: xml }).data).toBe(xml)
  const json = { appinfoA: 'abc', appinfoB: 123, appinfoC: true }
  expect(read({ id: 'C234-1234-1234', datacontenttype: 'application/json', data: json }).data).toEqual(json)
})

test.each(['ce-', 'ce_', 'cloudEvents:', 'cloudEvents_'])(
  'a %s header without a value is absent',
  (prefix) => {
    const attributes = { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.placed' }
    const empty = Object.fromEntries(
      ['time', 'datacontenttype', 'dataversion', 'partitionkey', 'expirytime', 'traceparent', 'mine'].map(
        (name) => [`${prefix}${name}`, ''],
      ),
    )
    const headers = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [`${prefix}${name}`, value]),
    )
    expect(binary({ ...headers, ...empty }, '{"n":1}', 'application/json')).toEqual({
      id: 'e-1',
      type: 'order.placed',
      version: 1,
      timestamp: new Date(0),
      data: { n: 1 },
      metadata: { source: '/shop' },
    })
  },
)

test('a whole number beyond 2^53 comes as a BigInt, so that no digit is lost', () => {
  const json =
    '{"specversion":"1.0","id":"e-2","source":"/shop/eu","type":"order.placed","datacontenttype":"application/json","data":{"orderId":9007199254740993,"total":42}}'
  expect(structured(json).data).toEqual({ orderId: 9007199254740993n, total: 42 })
  const headers = { ce_specversion: '1.0', ce_id: 'e-2', ce_source: '/shop', ce_type: 'order.placed' }
  expect(binary(headers, '{"orderId":9007199254740993}').data).toEqual({ orderId: 9007199254740993n })
})
