import { expect, test } from 'vitest'
import { definedOtherwise, missingRights, refusedCredentials, tlsFailed, unreachable } from './trouble.ts'

const peer = { broker: 'Kafka', address: 'localhost:9092', cause: new Error('client') }

test('each trouble names both sides and the next step', () => {
  const errors = [
    refusedCredentials({ ...peer, user: 'me' }),
    unreachable({ ...peer, reason: 'ECONNREFUSED' }),
    tlsFailed({ ...peer, isOurs: false, reason: 'wrong version number', secureScheme: 'kafka+ssl' }),
    missingRights({ ...peer, what: 'Sending to orders', user: 'me', reason: 'denied', grant: 'WRITE' }),
  ]
  expect(errors.map(({ code, retryable }) => [code, retryable])).toEqual([
    ['access-denied', false],
    ['connection-failed', true],
    ['connection-failed', false],
    ['access-denied', false],
  ])
  for (const error of errors) {
    expect(error.message).toMatch(/Kafka at localhost:9092/)
    expect(error.message).toMatch(/check|write|grant/)
    expect(error.cause).toBe(peer.cause)
  }
  expect(missingRights({ broker: 'Kafka', what: 'Sending', reason: 'denied' }).message).toBe(
    'Sending: Kafka does not allow this for this user (denied); grant the right, as listed under "Permissions" in the README of the adapter',
  )
  expect(definedOtherwise({ what: 'Topic orders', ours: 'ordered', theirs: 'not ordered' }).message).toBe(
    'Topic orders is ordered in its definition, but exists at the broker as not ordered: change the definition, or delete it there or take another name',
  )
})

test('the words of a client or broker take one line', () => {
  expect(unreachable({ ...peer, reason: 'bad\n  gateway\n' }).message).toContain('(bad gateway)')
})
