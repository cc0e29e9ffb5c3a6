import { runInNewContext } from 'node:vm'
import { expect, test, vi } from 'vitest'
import {
  ConfigurationError,
  InvalidMessageError,
  MessagingError,
  PermanentError,
  toError,
  toMessagingError,
} from './errors.ts'
import { RetryAfter } from './retry-after.ts'

test('an error carries its code, its cause, and whether trying again makes sense', () => {
  const cause = new Error('socket hang up')
  const error = new MessagingError('disconnected', 'The connection was lost', { retryable: true, cause })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'MessagingError',
    code: 'disconnected',
    retryable: true,
    fate: undefined,
    cause,
  })
  expect(new MessagingError('failed', 'no').retryable).toBe(false)
  expect('cause' in new MessagingError('failed', 'no')).toBe(false)
})

test('errors of another copy of the package are recognised', async () => {
  vi.resetModules()
  const copy = await import('./errors.ts')
  const error = new copy.PermanentError('no')
  expect(error).not.toBeInstanceOf(MessagingError)
  expect(MessagingError.is(error)).toBe(true)
  expect(toMessagingError(error, 'Wrapped')).toBe(error)
})

test.each([undefined, null, 'failed', 1, {}, new Error('no')])('%s is none of ours', (value) => {
  expect(MessagingError.is(value)).toBe(false)
})

test('a copy of an error’s fields is no error of ours', () => {
  expect(MessagingError.is({ ...new MessagingError('failed', 'no') })).toBe(false)
})

test('a configuration error lists each problem with its path', () => {
  const error = new ConfigurationError('connect options', [
    { path: 'url', message: 'expected a URL' },
    { path: '', message: 'unknown option "ulr"' },
  ])
  expect(error.message).toBe('Invalid connect options:\n  - url: expected a URL\n  - unknown option "ulr"')
  expect(error).toMatchObject({ name: 'ConfigurationError', code: 'invalid-options', retryable: false })
  expect(error.issues).toHaveLength(2)
})

test('an invalid message was certainly not sent', () => {
  const error = new InvalidMessageError('message order.created', [
    { path: 'data.total', message: 'too small' },
  ])
  expect(error).toMatchObject({ code: 'invalid-message', fate: 'not-sent', retryable: false })
  expect(error.message).toMatch(/nothing was sent/)
})

test('what handlers throw to steer their retries is named after itself', () => {
  expect(new PermanentError('no', { cause: 1 })).toMatchObject({
    name: 'PermanentError',
    code: 'permanent',
    cause: 1,
  })
  expect(new RetryAfter('30s')).toMatchObject({ name: 'RetryAfter', code: 'retry-after', delay: '30s' })
  // @ts-expect-error: what a caller without types can do
  expect(() => new RetryAfter('soon')).toThrow(/delay: expected a duration/)
  expect(new RetryAfter(5000, 'the bank is closed').message).toBe('the bank is closed')
})

test('an error stays itself', () => {
  const error = new TypeError('no')
  expect(toError(error)).toBe(error)
  const custom = Object.assign(new Error('no'), { name: 'CustomError' })
  expect(toError(custom)).toBe(custom)
})

test('an error of another realm stays itself', () => {
  const error: unknown = runInNewContext('new RangeError("elsewhere")')
  expect(error).not.toBeInstanceOf(Error)
  expect(toError(error)).toBe(error)
})

test.each([
  ['text', 'text'],
  [undefined, 'Thrown: undefined'],
  [null, 'Thrown: null'],
  [42, 'Thrown: 42'],
  [10n, 'Thrown: 10'],
  [{ code: 'E' }, 'Thrown: {"code":"E"}'],
  [Symbol('s'), 'Thrown: Symbol(s)'],
])('%s thrown becomes an error that says so', (thrown, message) => {
  expect(toError(thrown)).toMatchObject({ name: 'Error', message })
})

test('even what can be written neither as JSON nor as text becomes an error', () => {
  const cycle: Record<string, unknown> = Object.create(null)
  cycle.self = cycle
  const throwing = {
    toJSON() {
      throw new Error('no JSON')
    },
    toString() {
      throw new Error('no text')
    },
  }
  expect(toError(cycle)).toBeInstanceOf(Error)
  expect(toError(throwing)).toBeInstanceOf(Error)
})

test('what is not ours becomes ours, with the original as its cause', () => {
  const cause = new Error('ECONNREFUSED')
  expect(toMessagingError(cause, 'Connecting failed', { retryable: true })).toMatchObject({
    code: 'failed',
    message: 'Connecting failed: ECONNREFUSED',
    retryable: true,
    cause,
  })
})
