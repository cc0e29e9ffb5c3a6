import { expect, test } from 'vitest'
import { MessagingError } from './errors.ts'
import { patiently } from './patiently.ts'
import { virtualClock } from './virtual-clock.ts'

const passing = new MessagingError('timeout', 'The broker is busy', { retryable: true })

test('what fails for now is asked again, and its answer is the one that counts', async () => {
  const clock = virtualClock()
  let asked = 0
  const answer = patiently(clock, async () => {
    asked += 1
    if (asked < 4) throw passing
    return 'well'
  })
  await clock.advance(1000)
  expect(await answer).toBe('well')
  expect(asked).toBe(4)
})

test('after 5 s the last error counts', async () => {
  const clock = virtualClock()
  let asked = 0
  const answer = patiently(clock, async () => {
    asked += 1
    throw new MessagingError('timeout', `The broker is busy: ${asked}`, { retryable: true })
  })
  const failed = expect(answer).rejects.toThrow('The broker is busy: 21')
  await clock.advance(5000)
  await failed
  expect(asked).toBe(21)
})

test.each([
  ['an error that will not pass', new MessagingError('access-denied', 'No')],
  ['an error of a driver that is no error of ours', new TypeError('no')],
])('%s is thrown at once', async (_, error) => {
  const ask = () => Promise.reject(error)
  await expect(patiently(virtualClock(), ask)).rejects.toBe(error)
})
