import { expect, test } from 'vitest'
import { DeliveryInHand } from '../deliveries/delivery.ts'
import { Hand } from '../deliveries/hand.ts'
import { deadLetterHeaders, retryHeaders } from './failure-record.ts'

const now = Date.UTC(2026, 0, 1)
const earlier = '2025-12-31T23:00:00.000Z'

function delivery(headers: Record<string, string> = {}): DeliveryInHand {
  const received = {
    body: new Uint8Array(0),
    contentType: undefined,
    headers,
    attempt: 3,
    deliveries: 4,
    key: undefined,
  }
  return new DeliveryInHand(
    received,
    { topic: 'orders', group: 'billing', receivedAt: now, since: 0 },
    new Hand(),
  )
}

test('a retried copy tells its attempt and when it failed first', () => {
  expect(retryHeaders(delivery({ tenant: 'acme' }), 4, now)).toEqual({
    tenant: 'acme',
    'waybill-attempt': '4',
    'waybill-first-failed-at': '2026-01-01T00:00:00.000Z',
  })
  const again = delivery({ 'waybill-first-failed-at': earlier, 'waybill-attempt': '3' })
  expect(retryHeaders(again, 4, now)).toEqual({ 'waybill-attempt': '4', 'waybill-first-failed-at': earlier })
})

test('a dead letter holds the reason, origin, time and attempts', () => {
  const error = new RangeError('too much')
  const headers = deadLetterHeaders(
    delivery({ tenant: 'acme', 'waybill-first-failed-at': earlier }),
    'attempts-exhausted',
    error,
    now,
  )
  expect(headers).toEqual({
    tenant: 'acme',
    'waybill-dead-letter-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    'waybill-reason': 'attempts-exhausted',
    'waybill-topic': 'orders',
    'waybill-group': 'billing',
    'waybill-attempt': '3',
    'waybill-deliveries': '4',
    'waybill-first-failed-at': earlier,
    'waybill-failed-at': '2026-01-01T00:00:00.000Z',
    'waybill-error-name': 'RangeError',
    'waybill-error-message': 'too much',
    'waybill-error-stack': error.stack,
  })
})

test('without an error there is no trace of one', () => {
  const names = Object.keys(deadLetterHeaders(delivery(), 'fraud', undefined, now))
  expect(names.filter((name) => name.includes('error'))).toEqual([])
})

test('each letter has an id of its own', () => {
  const [first, second] = [1, 2].map(() => deadLetterHeaders(delivery(), 'fraud', undefined, now))
  expect(first?.['waybill-dead-letter-id']).not.toBe(second?.['waybill-dead-letter-id'])
})

test('long texts are cut to what brokers take as headers', () => {
  const error = Object.assign(new Error('m'.repeat(5000)), { name: 'n'.repeat(500), stack: 's'.repeat(9000) })
  const headers = deadLetterHeaders(delivery(), 'r'.repeat(5000), error, now)
  expect(headers['waybill-reason']).toHaveLength(1024)
  expect(headers['waybill-error-name']).toHaveLength(256)
  expect(headers['waybill-error-message']).toHaveLength(1024)
  expect(headers['waybill-error-stack']).toHaveLength(4096)
  expect(headers['waybill-error-message']).toMatch(/m…$/)
})

test('a text is not cut in the middle of a character', () => {
  const headers = deadLetterHeaders(delivery(), '😀'.repeat(600), new Error('half \ud83d'), now)
  expect(headers['waybill-reason']?.isWellFormed()).toBe(true)
  expect(headers['waybill-error-message']?.isWellFormed()).toBe(true)
})

test('an error whose fields are no texts is recorded all the same', () => {
  const odd = Object.assign(new Error('x'), { message: { code: 14 }, name: undefined, stack: 5 })
  const headers = deadLetterHeaders(delivery(), 'permanent', odd, now)
  expect(headers['waybill-error-message']).toBe('{"code":14}')
  expect(Object.values(headers).every((value) => typeof value === 'string')).toBe(true)
})
