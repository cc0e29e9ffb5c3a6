import { type ErrorCode, MessagingError } from '@waybill/core'
import { expect, test } from 'vitest'
import { isRefusal } from './refusal.ts'

const error = (code: ErrorCode, retryable = false) => new MessagingError(code, 'no', { retryable })

test('a message is refused for what it is, not for what is wrong with the target', () => {
  for (const code of ['too-large', 'unsupported', 'invalid-message', 'rejected'] as const)
    expect(isRefusal(error(code))).toBe(true)
  for (const code of ['access-denied', 'topology-missing', 'closed', 'timeout', 'failed'] as const)
    expect(isRefusal(error(code))).toBe(false)
  expect(isRefusal(error('rejected', true))).toBe(false)
  expect(isRefusal(new Error('no'))).toBe(false)
})
