import { describe, expect, it } from 'vitest'
import { fromAnswer, fromStreams } from './delivery.ts'

const text = (value: string) => Buffer.from(value)

describe('fromAnswer', () => {
  it('fills in the usual content type and no headers', () => {
    const answer = { fields: { entries: [{ source: 3, id: '17-1' }] }, values: [text('{}')] }
    expect(fromAnswer(answer, 99)[0]).toMatchObject({
      ...{
        source: 3,
        id: '17-1',
        count: 1,
        deliveries: 1,
        crashes: 0,
        attempt: 1,
        leaseUntil: 99,
        timestamp: 17,
      },
      ...{ contentType: 'application/cloudevents+json', headers: {} },
    })
  })

  it('reads count, content type and attempt of others, and takes each its own values', () => {
    const headers = JSON.stringify({ 'waybill-attempt': '3' })
    const entries = [
      { source: 0, id: '1-1', count: 2, type: 'text/plain', headers },
      { source: 1, id: '1-2', fields: 4 },
      { source: 0, id: '1-3' },
    ]
    const values = ['a', 'body', 'b', 'colour', 'red', 'c'].map(text)
    expect(fromAnswer({ fields: { entries }, values }, 0, [4, 5])).toMatchObject([
      { source: 4, crashes: 1, contentType: 'text/plain', attempt: 3, body: text('a') },
      { source: 5, headers: { colour: 'red' }, body: text('b') },
      { source: 4, body: text('c') },
    ])
  })

  it('reads nothing from an answer of another shape', () => {
    expect(fromAnswer({ fields: { entries: {} }, values: [] }, 0)).toEqual([])
  })
})

describe('fromStreams', () => {
  it('knows where each entry came from', () => {
    const reply = [[text('b'), [[text('7-0'), ['body', 'x'].map(text)]]]]
    expect(fromStreams(reply, new Map([['b', 2]]))[0]).toMatchObject({ source: 2, id: '7-0', count: 1 })
    expect(fromStreams(null, new Map())).toEqual([])
  })
})
