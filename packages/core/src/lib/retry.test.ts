import { expect, test } from 'vitest'
import { PermanentError } from './errors.ts'
import { decideRetry, exponential, fixed, partialRetrySchema, resolveRetry } from './retry.ts'
import { RetryAfter } from './retry-after.ts'

const attempts = (backoff: (attempt: number) => number, count: number) =>
  Array.from({ length: count }, (_, index) => backoff(index + 1))

test('a fixed backoff waits the same each time', () => {
  expect(attempts(fixed('2s'), 3)).toEqual([2000, 2000, 2000])
})

test('an exponential backoff doubles up to its maximum', () => {
  const backoff = exponential({ initial: '1s', max: '5s', jitter: 0 })
  expect(attempts(backoff, 5)).toEqual([1000, 2000, 4000, 5000, 5000])
})

test('the factor is the step from one wait to the next', () => {
  expect(attempts(exponential({ initial: 10, factor: 3, jitter: 0 }), 3)).toEqual([10, 30, 90])
})

test('jitter only ever shortens, by its share at most', () => {
  expect(exponential({ initial: 1000, jitter: 0.2 }, () => 0)(1)).toBe(1000)
  expect(exponential({ initial: 1000, jitter: 0.2 }, () => 1)(1)).toBe(800)
})

test('an exponential backoff stays finite after any number of attempts', () => {
  expect(exponential({ jitter: 0 })(5000)).toBe(300_000)
  expect(exponential({ initial: 0 })(5000)).toBe(0)
})

test('exponential lists everything that is wrong with its options', () => {
  const wrong = () => exponential({ max: -1, factor: 0.5, jitter: 2 })
  expect(wrong).toThrow(/max: expected a duration/)
  expect(wrong).toThrow(/factor: /)
  expect(wrong).toThrow(/jitter: /)
})

const policy = resolveRetry({ attempts: 3, backoff: fixed(100) })

test('a failed attempt is tried again until the attempts are used up', () => {
  const error = new Error('no')
  expect(decideRetry(policy, 1, error)).toEqual({ retry: true, delayMs: 100 })
  expect(decideRetry(policy, 2, error)).toEqual({ retry: true, delayMs: 100 })
  expect(decideRetry(policy, 3, error)).toEqual({ retry: false, reason: 'attempts-exhausted' })
  expect(decideRetry(policy, 9, error)).toEqual({ retry: false, reason: 'attempts-exhausted' })
})

test('a permanent error is not tried again, whatever isRetryable says', () => {
  const lenient = resolveRetry({ isRetryable: () => true })
  expect(decideRetry(lenient, 1, new PermanentError('no'))).toEqual({ retry: false, reason: 'permanent' })
})

test('isRetryable sees what was thrown, and its false ends the attempts', () => {
  const strict = resolveRetry({ isRetryable: (error: unknown) => error !== 'hopeless' })
  expect(decideRetry(strict, 1, 'hopeless')).toEqual({ retry: false, reason: 'not-retryable' })
  expect(decideRetry(strict, 1, 'unlucky').retry).toBe(true)
})

test('RetryAfter wins over the backoff but not over the number of attempts', () => {
  expect(decideRetry(policy, 1, new RetryAfter('30s'))).toEqual({ retry: true, delayMs: 30_000 })
  expect(decideRetry(policy, 1, new RetryAfter(0))).toEqual({ retry: true, delayMs: 0 })
  expect(decideRetry(policy, 3, new RetryAfter('30s')).retry).toBe(false)
})

test('a backoff of nonsense does not become a delay of nonsense', () => {
  for (const nonsense of [Number.NaN, -5, Number.POSITIVE_INFINITY]) {
    const decision = decideRetry(resolveRetry({ backoff: () => nonsense }), 1, new Error('no'))
    expect(decision).toMatchObject({ retry: true, delayMs: expect.toSatisfy(Number.isFinite) })
    expect(decision).toMatchObject({ delayMs: expect.toSatisfy((delay: number) => delay >= 0) })
  }
})

test('without options there are five attempts with an exponential backoff', () => {
  const { attempts: count, backoff } = resolveRetry(undefined)
  expect(count).toBe(5)
  expect(backoff(1)).toBeGreaterThanOrEqual(900)
  expect(backoff(1)).toBeLessThanOrEqual(1000)
  expect(backoff(50)).toBeLessThanOrEqual(300_000)
})

test('every wrong part of a policy is listed', () => {
  const result = partialRetrySchema().safeParse({ attempts: 0, backoff: 5, isRetryable: 'no', tries: 3 })
  const paths = result.error?.issues.map(({ path }) => path.join('.'))
  expect(paths).toEqual(expect.arrayContaining(['attempts', 'backoff', 'isRetryable', '']))
})

test('each field comes from the first policy that has it', () => {
  const own = { attempts: 2 }
  const others = { attempts: 7, backoff: fixed(30), isRetryable: () => false }
  const resolved = resolveRetry(undefined, own, others)
  expect(resolved.attempts).toBe(2)
  expect(resolved.backoff(1)).toBe(30)
  expect(resolved.isRetryable?.(new Error('no'))).toBe(false)
})
