import type { OutboundMessage } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { fromLetter, letterIdOf, toLetter, toNewLetter, toReplay, toResolution } from './letters.ts'
import { deletionType, dueAtOf, fromRecord, moveAtOf, toCopy, toRecord } from './messages.ts'
import type { ConsumedRecord, ProducedRecord } from './records.ts'

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

const place = { topic: 'orders', partition: 5 }

/** A record as it is consumed. */
function consumed({ key, value, headers }: ProducedRecord): ConsumedRecord {
  const toBytes = (header: unknown): Buffer | null =>
    typeof header === 'string' ? Buffer.from(header) : Buffer.isBuffer(header) ? header : null
  return {
    key: typeof key === 'string' ? Buffer.from(key) : key,
    value,
    timestamp: '1700000000000',
    offset: '17',
    headers: Object.fromEntries(
      Object.entries(headers ?? {}).map(([name, header]) => [
        name,
        Array.isArray(header) ? header.map(toBytes) : toBytes(header),
      ]),
    ),
  }
}

/** As others write records: a key and headers that are no UTF-8, a repeated header, one without value. */
const foreign: ConsumedRecord = {
  key: Buffer.from([0x00, 0xff, 0x10, 0x80]),
  value: Buffer.from('{}'),
  timestamp: '1600000000000',
  offset: '3',
  headers: {
    trace: [Buffer.from('a'), Buffer.from('b')],
    flag: null,
    raw: Buffer.from([0xff, 0xfe]),
    'content-type': Buffer.from('application/json'),
  },
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

test('body, key, headers and time arrive as they were sent', () => {
  const record = consumed(toRecord({ ...message, delayMs: 500 }, 1000, 'required'))
  expect(fromRecord(record, place)).toEqual({
    body: Buffer.from([0, 255, 13]),
    contentType: 'application/cloudevents+json',
    headers: { tenant: 'Ærø 🏝', ce_id: 'id-1', ce_type: 'order.created' },
    attempt: 1,
    key: 'o-1',
    timestamp: 1_700_000_000_000,
    transportId: 'orders/5/17/1700000000000',
  })
})

test('of several headers with one name the last counts, and one without value is none', () => {
  expect(fromRecord(foreign, place).headers).toEqual({ trace: 'b', raw: '\uFFFD\uFFFD' })
})

test('a record without value is an event that says so, with its key', () => {
  const { body, contentType, headers, key } = fromRecord({ ...foreign, value: null, headers: {} }, place)
  expect(body.toString()).toBe('null')
  expect(contentType).toBe('application/json')
  expect(headers).toMatchObject({ ce_type: deletionType, ce_specversion: '1.0', ce_source: 'kafka:orders' })
  expect(headers.ce_id).toContain('orders/5/3')
  expect(key).toBe(foreign.key?.toString('utf8'))
})

test('a copy has the key, body and time of its source, the headers wanted, and its own times', () => {
  const record = consumed(toRecord({ ...message, delayMs: 500 }, 1000, 'required'))
  const wanted = { 'waybill-attempt': '2' }
  const copy = toCopy({ record, partition: 5 }, wanted, { dueAt: 9000, moveAt: 4000, partition: 3 })
  expect(copy.partition).toBe(3)
  const again = consumed(copy)
  expect(dueAtOf(again)).toBe(9000)
  expect(moveAtOf(again)).toBe(4000)
  expect(fromRecord({ ...again, timestamp: '1' }, place)).toEqual({
    body: record.value,
    contentType: 'application/cloudevents+json',
    headers: wanted,
    attempt: 2,
    key: 'o-1',
    timestamp: 1_700_000_000_000,
    transportId: 'orders/5/17/1',
  })
})

test('what others wrote stays whole through a retry, a dead letter and a replay, in its partition', () => {
  const { headers } = fromRecord(foreign, place)
  const retried = toCopy({ record: foreign, partition: 5 }, { ...headers, 'waybill-attempt': '2' })
  expect(retried).toMatchObject({ key: foreign.key, value: foreign.value, partition: 5 })
  expect(retried.headers).toMatchObject({ ...foreign.headers })
  const again = consumed(retried)
  const wanted = { ...fromRecord(again, place).headers, 'waybill-dead-letter-id': 'letter-1' }
  const letter = consumed(toLetter({ record: again }, wanted))
  expect(letterIdOf(letter)).toBe('letter-1')
  const replayed = toReplay(letter)
  expect(replayed).toMatchObject({ key: foreign.key, value: foreign.value, partition: 5 })
  expect(replayed.headers).toEqual({
    ...foreign.headers,
    'waybill-sent-at': Buffer.from('1600000000000'),
    'waybill-partition': Buffer.from('5'),
  })
  expect(Object.keys(replayed.headers ?? {}).slice(0, 3)).toEqual(['trace', 'flag', 'raw'])
})

test('a dead letter of a record without value is no tombstone itself, and goes back as it was', () => {
  const record = { ...foreign, value: null }
  const letter = toLetter({ record, partition: 1 }, { 'waybill-dead-letter-id': 'letter-1' })
  expect(letter.value).toEqual(Buffer.alloc(0))
  expect(toReplay(consumed(letter))).toMatchObject({ key: foreign.key, value: null })
})

test('a letter tells body, content type, headers and key, and so does one that is made of what it tells', () => {
  const record = consumed(toRecord(message, 0, 'none'))
  const headers = { tenant: 'x', 'waybill-dead-letter-id': 'letter-1', 'waybill-attempt': '5' }
  const letter = fromLetter(consumed(toLetter({ record, partition: 0 }, headers)))
  expect(letter).toEqual({
    id: 'letter-1',
    body: record.value,
    contentType: 'application/cloudevents+json',
    headers,
    key: record.key?.toString(),
  })
  expect(fromLetter(consumed(toNewLetter(letter, 0)))).toEqual(letter)
})

test('a letter that somebody else put there has an id all the same', () => {
  expect(letterIdOf(consumed({ key: null, value: Buffer.from('x'), headers: {} }))).toBe('offset-17')
})

test('a resolution is a record without value under the id of its letter', () => {
  expect(toResolution('letter-1', 'discard')).toMatchObject({ key: 'letter-1', value: null })
})
