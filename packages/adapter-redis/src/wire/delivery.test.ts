import { describe, expect, it } from 'vitest'
import { fromClaims, fromRows, fromStreams } from './delivery.ts'

const text = (value: string) => Buffer.from(value)

describe('fromRows', () => {
  it('fills in the usual content type and no headers', () => {
    const [delivery] = fromRows([3, text('1-1'), text('{}')], 99)
    expect(delivery).toMatchObject({
      ...{ source: 3, id: '1-1', count: 1, deliveries: 1, attempt: 1, leaseUntil: 99 },
      ...{ contentType: 'application/cloudevents+json', headers: {} },
    })
  })

  it('reads count, content type and attempt of others', () => {
    const headers = JSON.stringify({ 'waybill-attempt': '3' })
    expect(fromRows([0, text('1-1'), [2, text('text/plain'), text(headers), text('')]], 0)[0]).toMatchObject({
      count: 2,
      deliveries: 2,
      contentType: 'text/plain',
      attempt: 3,
    })
  })

  it('reads entries that are not as we write them, and adds up deliveries', () => {
    const fields = ['deliveries', '2', 'body', 'x', 'colour', 'red'].map(text)
    expect(fromRows([0, text('1-1'), [1, fields]], 0)[0]).toMatchObject({
      deliveries: 3,
      count: 1,
      headers: { colour: 'red' },
    })
  })

  it('translates sources when only some were read', () => {
    expect(fromRows([1, text('1-1'), text('')], 0, [4, 5])[0]?.source).toBe(5)
  })
})

describe('fromStreams and fromClaims', () => {
  it('know where each entry came from', () => {
    const reply = [[text('b'), [[text('7-0'), ['body', 'x'].map(text)]]]]
    expect(fromStreams(reply, new Map([['b', 2]]), 5)[0]).toMatchObject({ source: 2, id: '7-0', count: 1 })
    expect(fromClaims([2, text('7-0'), 4, ['body', 'x'].map(text)], 5)[0]).toMatchObject({
      count: 4,
      deliveries: 4,
    })
  })

  it('read nothing from a nil reply', () => {
    expect(fromStreams(null, new Map(), 0)).toEqual([])
    expect(fromClaims(null, 0)).toEqual([])
    expect(fromRows(null, 0)).toEqual([])
  })
})
