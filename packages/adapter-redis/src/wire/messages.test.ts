import type { OutboundMessage, TopicSpec } from '@waybill/core/driver'
import { describe, expect, it } from 'vitest'
import {
  compareIds,
  connectionNames,
  connectionOf,
  consumerName,
  decodeFields,
  decodeHeaders,
  encodeFields,
  extraFields,
  fromErrorReply,
  groupKeys,
  idAfter,
  idBefore,
  lineOf,
  lineOfHeaders,
  needsNewConnection,
  topicKeys,
  toRedisError,
} from './messages.ts'

const plain: TopicSpec = { name: 'orders', ordered: false, partitions: 8, native: {} }
const ordered: TopicSpec = { ...plain, ordered: true, partitions: 3 }

class ReplyError extends Error {
  override readonly name = 'ReplyError'
}

describe('names', () => {
  it('puts all keys of a topic and its groups under one hash tag', () => {
    const keys = topicKeys('waybill', plain)
    const group = groupKeys(keys, 'billing')
    const all = [
      keys.topic,
      keys.delayed,
      keys.sent,
      ...keys.streams,
      ...group.sources,
      group.delayed,
      group.dead,
    ]
    expect(all.every((key) => key.startsWith('waybill:{orders}:'))).toBe(true)
    expect(new Set(all).size).toBe(all.length - keys.streams.length)
  })

  it('reads the streams of high priority before the others, and own streams first', () => {
    expect(groupKeys(topicKeys('w', plain), 'g').sources).toEqual([
      'w:{orders}:group:g:stream:high',
      'w:{orders}:stream:high',
      'w:{orders}:group:g:stream',
      'w:{orders}:stream',
    ])
  })

  it('has a stream for each partition of an ordered topic', () => {
    expect(topicKeys('w', ordered).streams).toEqual([
      'w:{orders}:stream:0',
      'w:{orders}:stream:1',
      'w:{orders}:stream:2',
    ])
  })

  it('keeps a key to one partition, that of CRC-32', () => {
    // The check value of CRC-32/ISO-HDLC: crc32("123456789") = 0xcbf43926.
    expect(lineOf(ordered, '123456789', undefined)).toBe(0xcbf43926 % 3)
    expect(lineOf(ordered, '123456789', 9)).toBe(0xcbf43926 % 3)
  })

  it('merges priorities into two levels, none being the lower one', () => {
    expect([undefined, 0, 4].map((priority) => lineOf(plain, undefined, priority))).toEqual([1, 1, 1])
    expect([5, 9].map((priority) => lineOf(plain, undefined, priority))).toEqual([0, 0])
    expect(lineOfHeaders({ 'waybill-priority': '7' })).toBe(0)
    expect(lineOfHeaders({})).toBe(1)
  })

  it('tells connection and lease in the name of a consumer', () => {
    const name = consumerName('instance-1', 2, 77, 30_000)
    expect(name).toBe('instance-1-2#77~30000')
    expect(connectionOf(name)).toBe(77)
    expect(connectionOf(consumerName('instance-1', 2, undefined, 30_000))).toBeUndefined()
    expect(connectionOf('a foreign consumer')).toBeUndefined()
  })

  it('finds the names in a list of connections', () => {
    const list = 'id=3 addr=127.0.0.1:1 name=a#3~100 age=1\nid=4 addr=127.0.0.1:2 laddr=x name= age=2\n'
    expect([...connectionNames(list)].filter((name) => name !== '')).toEqual(['a#3~100'])
  })
})

describe('entry ids', () => {
  it('have a next and a previous one, across milliseconds', () => {
    expect(idAfter('5-1')).toBe('5-2')
    expect(idAfter('5-18446744073709551615')).toBe('6-0')
    expect(idBefore('5-2')).toBe('5-1')
    expect(idBefore('5-0')).toBe('4-18446744073709551615')
    expect(idBefore('5')).toBe('4-18446744073709551615')
    expect(idBefore('0-0')).toBe('0-0')
  })

  it('compare by time, then by number, beyond what a double holds', () => {
    expect(compareIds('1-9', '2-1')).toBeLessThan(0)
    expect(compareIds('2-18446744073709551615', '2-18446744073709551614')).toBeGreaterThan(0)
    expect(compareIds('2-1', '2-1')).toBe(0)
  })
})

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
    expect(asRead(encodeFields(content, { earlierDeliveries: 2, line: 1 }))).toEqual({
      ...content,
      earlierDeliveries: 2,
      line: 1,
    })
    expect(asRead(encodeFields({ body, contentType: undefined, headers: {} }))).toEqual({
      body,
      contentType: undefined,
      headers: {},
      earlierDeliveries: 0,
      line: undefined,
    })
  })

  it('of foreign producers have their fields as headers', () => {
    expect(asRead(['ce-id', '1', 'body', body, 'content-type', 'application/json'])).toEqual({
      body,
      contentType: 'application/json',
      headers: { 'ce-id': '1' },
      earlierDeliveries: 0,
      line: undefined,
    })
  })

  it('keep a field named headers that is no JSON object of texts', () => {
    expect(decodeHeaders('not JSON')).toEqual({ headers: 'not JSON' })
    expect(decodeHeaders('[1]')).toEqual({ headers: '[1]' })
    expect(decodeHeaders('')).toEqual({})
  })

  it('have extra fields only for what there is', () => {
    const message: OutboundMessage = {
      ...{ topic: plain, type: 't', id: '1', key: undefined, body, contentType: 'text/plain' },
      ...{
        attributes: { id: '1', type: 't', time: 'now' },
        headers: {},
        delayMs: 0,
        priority: undefined,
        expiresAt: undefined,
      },
    }
    expect(extraFields(message, 'none')).toEqual([])
    expect(extraFields(message, 'all')).toEqual(['ce', '{"id":"1","type":"t","time":"now"}'])
    expect(extraFields({ ...message, headers: { a: 'b' } }, 'required')).toEqual([
      'ce',
      '{"id":"1","type":"t"}',
      'headers',
      '{"a":"b"}',
    ])
    const fields = [
      'content-type',
      'application/cloudevents+json',
      'body',
      body,
      ...extraFields(message, 'all'),
    ]
    expect(asRead(fields).headers).toEqual({})
  })
})

describe('errors', () => {
  it('of the server are told apart by their first word', () => {
    const coded = (reply: string) => {
      const { code, retryable, fate } = fromErrorReply(reply, 'It failed')
      return [code, retryable, fate]
    }
    expect(coded('WRONGPASS invalid username-password pair')).toEqual(['access-denied', false, 'not-sent'])
    expect(coded("OOM command not allowed when used memory > 'maxmemory'.")).toEqual([
      'rejected',
      true,
      'not-sent',
    ])
    expect(coded('LOADING Redis is loading the dataset in memory')).toEqual([
      'disconnected',
      true,
      'not-sent',
    ])
    expect(coded("READONLY You can't write against a read only replica.")).toEqual([
      'disconnected',
      true,
      'not-sent',
    ])
    expect(coded('NOGROUP No such key')).toEqual(['topology-missing', true, 'not-sent'])
    expect(coded('WRONGTYPE Operation against a key')).toEqual(['topology-mismatch', false, 'not-sent'])
    expect(coded('ERR something else')).toEqual(['failed', false, 'not-sent'])
  })

  it('of a connection leave the fate of what was written unknown', () => {
    const lost = toRedisError(new Error('Connection is closed.'), 'XADD', new Error('read ECONNRESET'))
    expect(lost).toMatchObject({ code: 'disconnected', retryable: true, fate: 'unknown' })
    expect(lost.message).toBe('XADD: Connection is closed. (read ECONNRESET)')
    const unwritten = toRedisError(
      new Error("Stream isn't writeable and enableOfflineQueue options is false"),
      'XADD',
    )
    expect(unwritten).toMatchObject({ code: 'disconnected', fate: 'not-sent' })
  })

  it('of a refused connection are those of the server that refused it', () => {
    const error = toRedisError(
      new Error('Connection is closed.'),
      'Connecting',
      new ReplyError('NOAUTH Authentication required.'),
    )
    expect(error).toMatchObject({ code: 'access-denied', retryable: false })
  })

  it('say when another connection is needed', () => {
    expect(needsNewConnection(new ReplyError('READONLY You cannot'))).toBe(true)
    expect(needsNewConnection(new ReplyError('OOM full'))).toBe(false)
  })
})
