import { MessagingError } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { isStaleReceipt, toEntryError, toServiceError } from './errors.ts'

function named(name: string, properties: object = {}): Error {
  return Object.assign(new Error('why'), { name }, properties)
}

test.each([
  ['QueueDoesNotExist', {}, 'topology-missing', true, 'not-sent'],
  ['NotFoundException', {}, 'topology-missing', true, 'not-sent'],
  ['QueueNameExists', {}, 'topology-mismatch', false, 'not-sent'],
  ['AccessDeniedException', {}, 'access-denied', false, 'not-sent'],
  ['CredentialsProviderError', {}, 'access-denied', false, 'not-sent'],
  ['RequestThrottled', {}, 'throttled', true, 'not-sent'],
  ['OverLimit', {}, 'throttled', true, 'not-sent'],
  ['BatchRequestTooLong', {}, 'too-large', false, 'not-sent'],
  ['TimeoutError', { code: 'ETIMEDOUT' }, 'timeout', true, 'unknown'],
  ['TimeoutError', { code: 'ECONNRESET' }, 'disconnected', true, 'unknown'],
  ['Error', { code: 'ETIMEDOUT' }, 'timeout', true, 'unknown'],
  ['Error', { code: 'ECONNREFUSED' }, 'disconnected', true, 'not-sent'],
  ['Error', { code: 'ECONNRESET' }, 'disconnected', true, 'unknown'],
  ['InternalFailure', { $metadata: { httpStatusCode: 500 } }, 'failed', true, 'unknown'],
  ['SyntaxError', { $metadata: { httpStatusCode: 503 } }, 'failed', true, 'unknown'],
  ['UnknownByUs', { $metadata: { httpStatusCode: 400 } }, 'rejected', false, 'not-sent'],
  ['UnknownByUs', {}, 'failed', false, 'unknown'],
])('%s %o means %s', (name, properties, code, retryable, fate) => {
  const cause = named(name, properties)
  const error = toServiceError(cause, 'Sending')
  expect(error).toMatchObject({ code, retryable, fate, cause })
  expect(error.message).toContain('Sending')
})

test('the code of a query error counts as its name', () => {
  const error = toServiceError(
    named('QueueDoesNotExistError', { Code: 'AWS.SimpleQueueService.NonExistentQueue' }),
    'x',
  )
  expect(error.code).toBe('topology-missing')
})

test('errors of ours stay as they are', () => {
  const error = new MessagingError('closed', 'ours')
  expect(toServiceError(error, 'x')).toBe(error)
})

test.each([
  [{ Code: 'InternalError', SenderFault: false }, 'rejected', true],
  [
    { Code: 'InvalidParameterValue', SenderFault: true, Message: 'Message must be shorter than 1024 bytes.' },
    'too-large',
    false,
  ],
  [{ Code: 'InvalidMessageContents', SenderFault: true }, 'rejected', false],
  [{ Code: 'KmsThrottled', SenderFault: true }, 'throttled', true],
  [{}, 'rejected', true],
])('the failed entry %o of a batch was certainly not sent', (failure, code, retryable) => {
  expect(toEntryError(failure, 'Sending')).toMatchObject({ code, retryable, fate: 'not-sent' })
})

test.each([
  [{ Code: 'ReceiptHandleIsInvalid' }, true],
  [{ Code: 'MessageNotInflight' }, true],
  [{ Code: 'AWS.SimpleQueueService.MessageNotInflight' }, true],
  [
    {
      Code: 'InvalidParameterValue',
      Message: 'Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.',
    },
    true,
  ],
  [
    {
      Code: 'InvalidParameterValue',
      Message: 'Reason: Message does not exist or is not available for visibility timeout change.',
    },
    true,
  ],
  [
    { Code: 'InvalidParameterValue', Message: 'Total VisibilityTimeout for the message is beyond the limit' },
    false,
  ],
  [{ Code: 'InternalError' }, false],
])('%o is the answer to a stale receipt: %s', (failure, expected) => {
  expect(isStaleReceipt(failure)).toBe(expected)
})
