import type { OutboundMessage, TopicSpec } from '@waybill/core/driver'
import { describe, expect, it } from 'vitest'
import { topicKeys } from '../wire/messages.ts'
import { failuresOf, planPublications } from './publication.ts'

const topic: TopicSpec = { name: 'orders', ordered: false, partitions: 8, native: {} }
const keys = topicKeys('w', topic)
const settings = { keys, deduplicationMs: 0, mirrorAttributes: 'none' as const }

function message(id: string, changes: Partial<OutboundMessage> = {}): OutboundMessage {
  return {
    ...{ topic, type: 't', id, key: undefined, body: Buffer.from(id), contentType: 'text/plain' },
    ...{ attributes: {}, headers: {}, delayMs: 0, priority: undefined, expiresAt: undefined },
    ...changes,
  }
}

function plan(batch: readonly OutboundMessage[], changes: Partial<typeof settings> = {}) {
  return planPublications(
    batch,
    batch.map((_, index) => index),
    { ...settings, ...changes },
  )
}

describe('planPublications', () => {
  it('describes alike messages once', () => {
    const [publication, ...others] = plan([message('a'), message('b'), message('c')])
    expect(others).toEqual([])
    expect(publication?.keys).toEqual([keys.topic, keys.delayed, keys.sent, 'w:{orders}:stream'])
    expect(publication?.args).toEqual([
      0,
      0,
      1,
      0,
      'text/plain',
      3,
      0,
      ...['a', 'b', 'c'].map((id) => Buffer.from(id)),
    ])
    expect(publication?.single).toBeUndefined()
  })

  it('begins a run where a message differs, and keeps the order', () => {
    const [publication] = plan([
      message('a'),
      message('b', { headers: { x: 'y' } }),
      message('c', { priority: 9 }),
      message('d', { delayMs: 1.2 }),
    ])
    expect(publication?.keys.slice(3)).toEqual(['w:{orders}:stream', 'w:{orders}:stream:high'])
    expect(publication?.args).toEqual([
      ...[0],
      ...[0, 1, 0, 'text/plain', 1, 0, Buffer.from('a')],
      ...[0, 1, 0, 'text/plain', 1, 1, 'headers', Buffer.from('b'), '{"x":"y"}'],
      ...[1, 0, 0, 'text/plain', 1, 0, Buffer.from('c')],
      ...[0, 1, 2, 'text/plain', 1, 0, Buffer.from('d')],
    ])
  })

  it('names ids only where duplicates are dropped', () => {
    const [publication] = plan([message('a')], { deduplicationMs: 500 })
    expect(publication?.args).toEqual([500, 0, 1, 0, 'text/plain', 1, 0, 'a', Buffer.from('a')])
    expect(publication?.single).toBeUndefined()
  })

  it('needs no script for a single message that is due at once', () => {
    expect(plan([message('a')])[0]?.single).toEqual([
      ...['w:{orders}:stream', 'NOMKSTREAM', '*'],
      ...['content-type', 'text/plain', 'body', Buffer.from('a')],
    ])
    expect(plan([message('a', { delayMs: 5 })])[0]?.single).toBeUndefined()
  })

  it('splits what is large, and knows each message by its index in the batch', () => {
    const large = Buffer.alloc(700 * 1024)
    const batch = [message('a', { body: large }), message('b'), message('c', { body: large })]
    expect(plan(batch).map(({ indices }) => indices)).toEqual([[0, 1], [2]])
  })
})

describe('failuresOf', () => {
  it('gives each failure the index of its message in the batch', () => {
    const [publication] = planPublications([message('a'), message('b'), message('c')], [0, 2], settings)
    const failures = publication && failuresOf(publication, [1, Buffer.from('OOM memory is full')])
    expect(failures).toMatchObject([[2, { code: 'rejected', retryable: true, fate: 'not-sent' }]])
  })
})
