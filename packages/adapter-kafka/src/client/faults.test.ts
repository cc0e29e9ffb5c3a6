import { expect, test } from 'vitest'
import { badCredentials, errors, exhausted, lost, refusal, unreachable } from './faults.fixture.ts'
import { brokerErrorOf, brokerErrorsOf, faultOf, handshakeFaultOf } from './faults.ts'

test.each([
  ['no connection', unreachable(), 'disconnected'],
  ['a lost connection', lost(), 'disconnected'],
  ['an answer that did not come', new errors.KafkaJSTimeout('Timeout'), 'timeout'],
  ['a lock that was not had in time', new errors.KafkaJSLockTimeout('Timeout'), 'disconnected'],
  ['a user who is not known', badCredentials(), 'credentials-refused'],
  ['a codec that is not there', new errors.KafkaJSNotImplemented('zstd'), 'unknown-compression'],
  ['anything else', new TypeError('x'), 'other'],
])('%s is told by kafkajs’s name for it', (_, thrown, kind) => {
  expect(faultOf(thrown)).toEqual({ kind })
})

test('what kafkajs gave up on is judged by its cause', () => {
  expect(faultOf(exhausted(unreachable()))).toEqual({ kind: 'disconnected' })
  const refused = { kind: 'refused', brokerError: 'MESSAGE_TOO_LARGE' }
  expect(faultOf(exhausted(refusal('MESSAGE_TOO_LARGE')))).toEqual(refused)
})

test('errors of several topics or groups at once are told apart', () => {
  const topics = new errors.KafkaJSAggregateError('several', [
    new errors.KafkaJSCreateTopicError(refusal('TOPIC_ALREADY_EXISTS'), 'a'),
    new errors.KafkaJSCreateTopicError(refusal('POLICY_VIOLATION'), 'b'),
  ])
  expect(brokerErrorsOf(topics)).toEqual(['TOPIC_ALREADY_EXISTS', 'POLICY_VIOLATION'])
  expect(brokerErrorOf(topics)).toBe('TOPIC_ALREADY_EXISTS')
  const groups = new errors.KafkaJSDeleteGroupsError('Error in DeleteGroups', [
    { groupId: 'a', errorCode: 68, error: refusal('NON_EMPTY_GROUP') },
  ])
  expect(brokerErrorOf(groups)).toBe('NON_EMPTY_GROUP')
  expect(brokerErrorsOf(refusal('NOT_CONTROLLER'))).toEqual(['NOT_CONTROLLER'])
})

test('a handshake that fails is told from one that was cut short', () => {
  expect(handshakeFaultOf(exhausted(unreachable('self-signed certificate')))).toBe('refused')
  const cut = 'Client network socket disconnected before secure TLS connection was established'
  expect(handshakeFaultOf(unreachable(cut))).toBe('cut-short')
  expect(handshakeFaultOf(unreachable())).toBeUndefined()
})
