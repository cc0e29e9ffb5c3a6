import type { OutboundMessage, TopicSpec } from '@waybill/core/driver'
import { describe, expect, it } from 'vitest'
import { decodeFields, decodeHeaders, encodeFields, messageFields, usualContentType } from './entries.ts'

const plain: TopicSpec = { name: 'orders', ordered: false, partitions: 8, native: {} }

describe('messages', () => {
  const body = Buffer.from([0, 255, 13, 10])
  const asRead = (fields: readonly (string | Buffer)[]) =>
    decodeFields(fields.map((field) => (typeof field === 'string' ? Buffer.from(field) : field)))

  it('come back as they were written', () => {
    const content = {
      body,
      contentType: 'text/plain',
      headers: { name: 'Zoë 🚚', body: 'a header of that name' },
    }
    expect(asRead(encodeFields(content, 1))).toEqual({
      ...content,
      line: 1,
    })
    expect(asRead(encodeFields({ body, contentType: undefined, headers: {} }))).toEqual({
      body,
      contentType: undefined,
      headers: {},
      line: undefined,
    })
  })

  it('of foreign producers have their fields as headers', () => {
    expect(asRead(['ce-id', '1', 'body', body, 'content-type', 'application/json'])).toEqual({
      body,
      contentType: 'application/json',
      headers: { 'ce-id': '1' },
      line: undefined,
    })
  })

  it('keep a field named headers that is no JSON object of texts', () => {
    expect(decodeHeaders('not JSON')).toEqual({ headers: 'not JSON' })
    expect(decodeHeaders('[1]')).toEqual({ headers: '[1]' })
    expect(decodeHeaders('')).toEqual({})
  })

  it('have further fields only for what there is', () => {
    const message: OutboundMessage = {
      ...{ topic: plain, type: 't', id: '1', key: undefined, body, contentType: usualContentType },
      ...{ attributes: { id: '1', type: 't', time: 'now' }, headers: {} },
      ...{ delayMs: 0, priority: undefined, expiresAt: undefined },
    }
    const first = ['content-type', usualContentType, 'body', body]
    expect(messageFields(message, 'none')).toEqual(first)
    expect(messageFields(message, 'all')).toEqual([...first, 'ce', '{"id":"1","type":"t","time":"now"}'])
    expect(messageFields({ ...message, headers: { a: 'b' } }, 'required')).toEqual([
      ...[...first, 'ce', '{"id":"1","type":"t"}'],
      ...['headers', '{"a":"b"}'],
    ])
    expect(asRead(messageFields(message, 'all')).headers).toEqual({})
  })
})
