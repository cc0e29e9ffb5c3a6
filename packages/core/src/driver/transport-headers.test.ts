import { expect, test } from 'vitest'
import { attemptOf, deadLetterIdOf, headerNames, prefixing, replayHeaders } from './transport-headers.ts'

test.each([
  [{}, 1],
  [{ 'waybill-attempt': '1' }, 1],
  [{ 'waybill-attempt': '7' }, 7],
  [{ 'waybill-attempt': '' }, 1],
  [{ 'waybill-attempt': '0' }, 1],
  [{ 'waybill-attempt': '-3' }, 1],
  [{ 'waybill-attempt': '2.5' }, 1],
  [{ 'waybill-attempt': 'many' }, 1],
  [{ 'waybill-attempt': '99999999999999999999' }, 1],
])('of %j the attempt is %d', (headers, attempt) => {
  expect(attemptOf(headers)).toBe(attempt)
})

test('a dead letter’s id is in its headers', () => {
  expect(deadLetterIdOf({ 'waybill-dead-letter-id': 'd-1' })).toBe('d-1')
  expect(deadLetterIdOf({})).toBeUndefined()
})

test('a replayed letter keeps what it was sent with, and what is needed to read it, but of its failure only where it was', () => {
  const failure = Object.fromEntries(Object.values(headerNames).map((name) => [name, 'x']))
  expect(replayHeaders({ ...failure, tenant: 'acme', 'ce-id': 'i' })).toEqual({
    'waybill-priority': 'x',
    'waybill-failed-in': 'x',
    'waybill-attempts': 'x',
    'waybill-stages': 'x',
    'waybill-content-type': 'x',
    'waybill-id': 'x',
    'waybill-time': 'x',
    'waybill-subject': 'x',
    'waybill-bridged': 'x',
    tenant: 'acme',
    'ce-id': 'i',
  })
})

test('names get their prefix, however many there are', () => {
  const prefixed = prefixing('ce_')
  for (let index = 0; index < 2500; index += 1) {
    const name = `name${index % 1250}`
    expect(prefixed(name)).toBe(`ce_${name}`)
  }
})
