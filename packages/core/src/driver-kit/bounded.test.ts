import { expect, test } from 'vitest'
import { virtualClock } from '../lib/virtual-clock.ts'
import { bounded } from './bounded.ts'

const never = new Promise<never>(() => undefined)

test('passes an answer and a refusal on, and leaves no timer behind', async () => {
  const clock = virtualClock()
  const bounds = { clock, timeoutMs: 1000, what: 'Asking' }
  expect(await bounded(Promise.resolve(7), bounds)).toBe(7)
  await expect(bounded(Promise.reject(new Error('no')), bounds)).rejects.toThrow('no')
})

test('ends in a retryable timeout that says what was done', async () => {
  const clock = virtualClock()
  const answer = bounded(never, { clock, timeoutMs: 1000, what: 'Asking' }).catch((error: unknown) => error)
  await clock.advance(1000)
  expect(await answer).toMatchObject({
    code: 'timeout',
    retryable: true,
    message: 'Asking: no answer within 1000 ms',
  })
})

test('ends as soon as the signal fires', async () => {
  const clock = virtualClock()
  const over = new AbortController()
  const bounds = { clock, timeoutMs: 1000, what: 'Asking', signal: over.signal }
  const answer = bounded(never, bounds)
  over.abort()
  await expect(answer).rejects.toMatchObject({ code: 'aborted' })
  await expect(bounded(never, bounds)).rejects.toMatchObject({ code: 'aborted' })
})
