import type { TopicSpec } from '@waybill/core/driver'
import { describe, expect, it } from 'vitest'
import { groupKeys, isConnected, lineOf, lineOfHeaders, memberName, topicKeys } from './names.ts'

const plain: TopicSpec = { name: 'orders', ordered: false, partitions: 8, native: {} }
const ordered: TopicSpec = { ...plain, ordered: true, partitions: 3 }

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

  it('sees in a list of connections whether a member is still there', () => {
    const list = 'id=3 addr=127.0.0.1:1 name=waybill-a-b age=1\nid=4 addr=127.0.0.1:2 laddr=x name= age=2\n'
    const member = memberName('a-b', 7)
    expect(isConnected(list, member, '3')).toBe(true)
    // The ids of a server that was restarted begin anew.
    expect(isConnected(list, member, '4')).toBe(false)
    expect(isConnected(list, member, '33')).toBe(false)
  })
})
