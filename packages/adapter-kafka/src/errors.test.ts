import { MessagingError, parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { badCredentials, exhausted, lost, refusal, unreachable } from './client/faults.fixture.ts'
import { isOfSingles, toConnectError, toDriverError, toPublishError } from './errors.ts'
import { parseKafkaOptions } from './options.ts'

test.each([
  ['MESSAGE_TOO_LARGE', 'too-large', false],
  ['TOPIC_AUTHORIZATION_FAILED', 'access-denied', false],
  ['UNKNOWN_TOPIC_OR_PARTITION', 'topology-missing', false],
  ['NOT_ENOUGH_REPLICAS', 'rejected', true],
  ['NOT_LEADER_FOR_PARTITION', 'disconnected', true],
  ['REQUEST_TIMED_OUT', 'timeout', true],
  ['SOMETHING_NEW', 'failed', true],
] as const)('the broker’s %s is %s', (type, code, retryable) => {
  expect(toDriverError(refusal(type), 'x')).toMatchObject({ code, retryable })
})

test('what the client gave up on is judged by its cause', () => {
  const error = toDriverError(exhausted(refusal('MESSAGE_TOO_LARGE')), 'Producing')
  expect(error).toMatchObject({ code: 'too-large', retryable: false })
  expect(error.message).toContain('Producing')
  expect(toDriverError(exhausted(unreachable()), 'x').code).toBe('disconnected')
})

test('an error of ours stays as it is', () => {
  const ours = new MessagingError('too-large', 'x')
  expect(toDriverError(ours, 'y')).toBe(ours)
})

test('the client’s error is the cause', () => {
  const error = lost()
  expect(toDriverError(error, 'x').cause).toBe(error)
})

const settings = parseKafkaOptions(parseBrokerUrl('kafka://me:secret@one,two:9093'), undefined)

test('a broker that is not there may be there later, one that refuses us will not change its mind', () => {
  const absent = toConnectError(unreachable(), settings)
  expect(absent).toMatchObject({ code: 'connection-failed', retryable: true })
  expect(absent.message).toContain('one:9092, two:9093')
  const refused = toConnectError(badCredentials(), settings)
  expect(refused).toMatchObject({ code: 'access-denied', retryable: false })
  expect(refused.message).toContain('"me"')
  const tls = unreachable('self-signed certificate')
  expect(toConnectError(tls, settings).retryable).toBe(false)
  // As it comes from a call that has put it into words already.
  expect(toConnectError(toDriverError(exhausted(tls), 'Connecting failed'), settings)).toMatchObject({
    code: 'connection-failed',
    retryable: false,
  })
})

test.each([
  ['MESSAGE_TOO_LARGE', true],
  ['NOT_ENOUGH_REPLICAS', false],
  ['TOPIC_AUTHORIZATION_FAILED', false],
])('a batch refused for %s is divided: %s', (type, expected) => {
  expect(isOfSingles(toPublishError(refusal(type), 't', true))).toBe(expected)
})

test('the fate of a message is unknown once it may have left, unless the broker refused it', () => {
  expect(toPublishError(refusal('MESSAGE_TOO_LARGE'), 't', true).fate).toBe('not-sent')
  expect(toPublishError(lost(), 't', true).fate).toBe('unknown')
  expect(toPublishError(unreachable(), 't', false).fate).toBe('not-sent')
  expect(toPublishError(refusal('NOT_ENOUGH_REPLICAS_AFTER_APPEND'), 't', true).fate).toBe('unknown')
})
