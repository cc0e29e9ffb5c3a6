import { expect, test } from 'vitest'
import { encodeMessage } from './cloud-events.ts'
import { priorityOf, toUndecoded, writtenOf } from './undecoded-message.ts'

const delivery = { contentType: undefined, headers: {}, key: undefined }

test('an event says what it is, and goes on byte for byte with what lasts', () => {
  const { body, contentType } = encodeMessage({
    id: 'm-1',
    type: 'order.placed',
    version: 2,
    timestamp: new Date('2026-01-01T00:00:00Z'),
    expiresAt: new Date('2026-02-01T00:00:00Z'),
    key: 'o-1',
    data: { nested: true },
    metadata: { source: 'shop' },
  })
  const headers = { tenant: 'acme', 'ce-id': 'm-1', 'waybill-attempt': '3', 'waybill-priority': '7' }
  const undecoded = toUndecoded({ ...delivery, body, contentType, headers })
  expect(undecoded).toMatchObject({
    id: 'm-1',
    type: 'order.placed',
    key: 'o-1',
    headers: { tenant: 'acme' },
  })
  expect(undecoded.timestamp).toEqual(new Date('2026-01-01T00:00:00Z'))
  expect(undecoded.attributes).toMatchObject({ source: 'shop', dataversion: '2' })
  expect(undecoded.attributes).not.toHaveProperty('data')
  expect(undecoded.expiresAt).toEqual(new Date('2026-02-01T00:00:00Z'))
  expect(priorityOf(undecoded)).toBe(7)
  expect(writtenOf(undecoded)).toEqual({
    body,
    contentType,
    attributes: undecoded.attributes,
    headers: { tenant: 'acme', 'waybill-priority': '7' },
  })
})

test('a body that is no event, or none that can be read, says only what its transport does', () => {
  const body = Buffer.from('{')
  const foreign = toUndecoded({ ...delivery, body, transportId: 't-1', subject: 'a.b', timestamp: 0 })
  expect(foreign).toMatchObject({ id: 't-1', type: 'a.b', timestamp: new Date(0), attributes: {} })
  const broken = toUndecoded({ ...delivery, body, contentType: 'application/cloudevents+json' })
  expect(broken).toMatchObject({ id: undefined, type: undefined, attributes: {}, body })
  expect(writtenOf(toUndecoded({ ...delivery, body }))).toMatchObject({ body, contentType: '' })
})

test('attributes in headers are read in any spelling', () => {
  const headers = { ce_id: 'm-2', ce_type: 'paid', ce_specversion: '1.0' }
  const undecoded = toUndecoded({
    ...delivery,
    body: Buffer.from('1'),
    contentType: 'application/json',
    headers,
  })
  expect(undecoded).toMatchObject({ id: 'm-2', type: 'paid', headers: {} })
})

test('an event without a content type is known by its body, unless that went through stages', () => {
  const { body } = encodeMessage({
    id: 'm-3',
    type: 'order.placed',
    version: 1,
    timestamp: new Date(0),
    data: 1,
    metadata: { source: 'shop' },
  })
  expect(toUndecoded({ ...delivery, body })).toMatchObject({
    id: 'm-3',
    contentType: 'application/cloudevents+json',
  })
  const headers = { 'waybill-stages': 'reversed', ce_id: 'm-4', ce_specversion: '1.0' }
  expect(toUndecoded({ ...delivery, body, headers }).id).toBe('m-4')
})

test('what only the transport said of a foreign message goes along with it, and so does who waits for a reply', () => {
  const headers = { 'waybill-reply-to': 'inbox;r-1', 'waybill-reason': 'gone' }
  const foreign = { ...delivery, body: Buffer.from('x'), contentType: 'text/plain', headers }
  const { lasting } = toUndecoded({ ...foreign, transportId: 't-1', subject: 'a.b', timestamp: 0 })
  expect(lasting).toEqual({
    'waybill-id': 't-1',
    'waybill-subject': 'a.b',
    'waybill-time': '1970-01-01T00:00:00.000Z',
    'waybill-reply-to': 'inbox;r-1',
  })
  const again = { ...foreign, headers: lasting, transportId: 'elsewhere', subject: 'c', timestamp: 9 }
  expect(toUndecoded(again)).toMatchObject({ id: 't-1', type: 'a.b', timestamp: new Date(0), lasting })
})
