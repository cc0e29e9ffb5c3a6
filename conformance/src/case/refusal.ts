import assert from 'node:assert/strict'
import { type ErrorCode, MessagingError } from '@waybill/core'

/** The error of a call that must be refused with one of these codes. */
export async function refusal(
  what: string,
  call: Promise<unknown>,
  ...codes: readonly ErrorCode[]
): Promise<MessagingError> {
  const error = await call.then(
    () => assert.fail(`${what} was accepted`),
    (thrown: unknown) => thrown,
  )
  assert.ok(
    MessagingError.is(error),
    `${what} failed with something that is no MessagingError: ${String(error)}`,
  )
  assert.ok(
    codes.includes(error.code),
    `${what} failed with ${error.code}, not ${codes.join(' or ')}: ${error.message}`,
  )
  return error
}

/** Whether the error or one of its causes satisfies the predicate. */
export function hasCause(error: unknown, predicate: (cause: unknown) => boolean): boolean {
  for (let current = error; current !== undefined; ) {
    if (predicate(current)) return true
    current = current instanceof Error ? current.cause : undefined
  }
  return false
}
