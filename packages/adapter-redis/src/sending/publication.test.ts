import type { OutboundMessage, TopicSpec } from '@waybill/core/driver'
import { describe, expect, it } from 'vitest'
import { topicKeys } from '../wire/names.ts'
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
  it('names what the script is to know, and gives it the fields as they are', () => {
    const [publication, ...others] = plan([
      message('a'),
      message('b', { headers: { x: 'y' } }),
      message('c', { priority: 9 }),
      message('d', { delayMs: 1.2 }),
    ])
    expect(others).toEqual([])
    expect(publication?.call.args).toEqual({
      window: 0,
      messages: [
        { line: 1, delay: 0, size: 4 },
        { line: 1, delay: 0, size: 6 },
        { line: 0, delay: 0, size: 4 },
        { line: 1, delay: 2, size: 4, id: 'd' },
      ],
    })
    expect(publication?.call.values?.slice(0, 10)).toEqual([
      ...['content-type', 'text/plain', 'body', Buffer.from('a')],
      ...['content-type', 'text/plain', 'body', Buffer.from('b'), 'headers', '{"x":"y"}'],
    ])
  })

  it('identifies messages by source and id, only where duplicates are dropped', () => {
    const batch = [
      message('b:c', { attributes: { source: 'a' } }),
      message('c', { attributes: { source: 'a:b' } }),
    ]
    const [publication] = plan(batch, { deduplicationMs: 500 })
    expect(publication?.call.args).toMatchObject({
      window: 500,
      messages: [{ identity: '1:a:b:c' }, { identity: '3:a:b:c' }],
    })
    expect(plan([message('a')], { deduplicationMs: 500 })[0]?.single).toBeUndefined()
  })

  it('names keys on ordered topics, where the script looks whether they are held', () => {
    const ordered = { ...topic, ordered: true }
    const [publication] = plan([message('a', { topic: ordered, key: 'k' })])
    expect(publication?.call.args).toMatchObject({ messages: [{ key: 'k', id: 'a' }] })
    expect(publication?.single).toBeUndefined()
  })

  it('needs no script for a single message that is due at once', () => {
    expect(plan([message('a')])[0]?.single).toEqual({
      args: [
        ...['w:{orders}:stream', 'NOMKSTREAM', '*'],
        ...['content-type', 'text/plain', 'body', Buffer.from('a')],
      ],
      line: 1,
    })
    expect(plan([message('a', { delayMs: 5 })])[0]?.single).toBeUndefined()
  })

  it('splits what is large, and knows each message by its index in the batch', () => {
    const large = Buffer.alloc(300 * 1024)
    const batch = [message('a', { body: large }), message('b'), message('c', { body: large })]
    expect(plan(batch).map(({ indices }) => indices)).toEqual([[0, 1], [2]])
  })
})

describe('failuresOf', () => {
  it('gives each failure the index of its message in the batch', () => {
    const [publication] = planPublications([message('a'), message('b'), message('c')], [0, 2], settings)
    const failures =
      publication &&
      failuresOf(publication, {
        fields: { failures: [{ index: 1, error: 'OOM memory is full' }] },
        values: [],
      })
    expect(failures).toMatchObject([[2, { code: 'rejected', retryable: true, fate: 'not-sent' }]])
  })
})
