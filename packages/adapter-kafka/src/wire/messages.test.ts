import type { OutboundMessage } from '@waybill/core/driver'
import type { KafkaMessage } from 'kafkajs'
import { expect, test } from 'vitest'
import type { OutboundRecord } from './messages.ts'
import {
  dueAtOf,
  fromLetter,
  fromRecord,
  letterIdOf,
  moveAtOf,
  toCopy,
  toLetter,
  toRecord,
  toReplay,
  toResolution,
} from './messages.ts'

const message: OutboundMessage = {
  topic: { name: 'orders', ordered: false, partitions: 8, native: {} },
  type: 'order.created',
  id: 'id-1',
  key: 'o-1',
  body: Buffer.from([0, 255, 13]),
  contentType: 'application/cloudevents+json',
  attributes: { id: 'id-1', type: 'order.created', dataversion: '2' },
  headers: { tenant: 'Ærø 🏝' },
  delayMs: 0,
  priority: undefined,
  expiresAt: undefined,
}

/** A record as it is consumed. */
function consumed({
  key,
  value,
  headers,
}: Pick<OutboundRecord, 'key' | 'headers'> & { value: Buffer | null }): KafkaMessage {
  return {
    key: typeof key === 'string' ? Buffer.from(key) : (key ?? null),
    value,
    timestamp: '0',
    attributes: 0,
    offset: '17',
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  }
}

test('a message becomes a record with its key, content type and mirrored attributes', () => {
  expect(toRecord(message, 1000, 'required')).toEqual({
    key: 'o-1',
    value: Buffer.from([0, 255, 13]),
    headers: {
      tenant: 'Ærø 🏝',
      'content-type': 'application/cloudevents+json',
      ce_id: 'id-1',
      ce_type: 'order.created',
    },
  })
  expect(toRecord(message, 1000, 'all').headers).toMatchObject({ ce_id: 'id-1', ce_dataversion: '2' })
  expect(toRecord(message, 1000, 'none').headers).toEqual({
    tenant: 'Ærø 🏝',
    'content-type': 'application/cloudevents+json',
  })
})

test('a message without key has none, and a delayed one says when it is due', () => {
  const record = toRecord({ ...message, key: undefined, delayMs: 500 }, 1000, 'none')
  expect(record.key).toBeNull()
  expect(dueAtOf(consumed(record))).toBe(1500)
})

test('body, key and headers arrive as they were sent', () => {
  expect(fromRecord(consumed(toRecord({ ...message, delayMs: 500 }, 1000, 'required')))).toEqual({
    body: Buffer.from([0, 255, 13]),
    contentType: 'application/cloudevents+json',
    headers: { tenant: 'Ærø 🏝', ce_id: 'id-1', ce_type: 'order.created' },
    attempt: 1,
    key: 'o-1',
  })
})

test('foreign records need neither key, value nor headers', () => {
  const foreign: KafkaMessage = {
    key: null,
    value: null,
    timestamp: '0',
    attributes: 0,
    offset: '1',
    headers: {},
  }
  expect(fromRecord(foreign)).toEqual({
    body: Buffer.alloc(0),
    contentType: undefined,
    headers: {},
    attempt: 1,
    key: undefined,
  })
  expect(dueAtOf(foreign)).toBe(0)
})

test('of several headers with one name the last counts', () => {
  const twice: KafkaMessage = {
    key: null,
    value: null,
    timestamp: '0',
    attributes: 0,
    offset: '1',
    headers: { tenant: [Buffer.from('a'), Buffer.from('b')] },
  }
  expect(fromRecord(twice).headers).toEqual({ tenant: 'b' })
})

test('a copy has the body and content type of its source, exactly the headers given, and its time', () => {
  const source = fromRecord(consumed(toRecord({ ...message, delayMs: 500 }, 1000, 'required')))
  const copy = toCopy(source, { 'waybill-attempt': '2' }, { dueAt: 9000, moveAt: 4000, partition: 3 })
  expect(copy.partition).toBe(3)
  expect(dueAtOf(consumed(copy))).toBe(9000)
  expect(moveAtOf(consumed(copy))).toBe(4000)
  expect(fromRecord(consumed(copy))).toEqual({
    body: source.body,
    contentType: source.contentType,
    headers: { 'waybill-attempt': '2' },
    attempt: 2,
    key: 'o-1',
  })
})

test('a dead letter is kept under its id, and goes back under its key as before it failed', () => {
  const source = fromRecord(consumed(toRecord(message, 0, 'none')))
  const headers = { tenant: 'x', 'waybill-dead-letter-id': 'letter-1', 'waybill-attempt': '5' }
  const letter = consumed(toLetter(source, headers))
  expect(letterIdOf(letter)).toBe('letter-1')
  expect(fromLetter(letter)).toEqual({
    id: 'letter-1',
    body: source.body,
    contentType: source.contentType,
    headers,
  })
  expect(toReplay(letter)).toEqual({
    key: 'o-1',
    value: source.body,
    headers: { tenant: 'x', 'content-type': 'application/cloudevents+json' },
  })
})

test('a letter that somebody else put there has an id all the same', () => {
  expect(letterIdOf(consumed({ key: null, value: Buffer.from('x'), headers: {} }))).toBe('offset-17')
})

test('a resolution is a record without value under the id of its letter', () => {
  expect(toResolution('letter-1', 'discard')).toMatchObject({ key: 'letter-1', value: null })
})
