import { expect, test } from 'vitest'
import { ConfigurationError } from '../lib/errors.ts'
import { handling } from './handling.fixture.ts'
import { timeout } from './timeout.ts'

test('an attempt that takes too long has failed, its signal fires, and it is tried again', async () => {
  const signals: AbortSignal[] = []
  await using billing = await handling(
    (clock) => timeout('5s', { clock }),
    (_, { signal, attempt }) => {
      signals.push(signal)
      return attempt === 1 ? new Promise(() => {}) : undefined
    },
  )
  await billing.send(1, { id: 'm' })
  await billing.clock.advance('5s')
  expect(billing.heard).toEqual(['retried: Handling order.placed took longer than 5000 ms'])
  expect(signals[0]?.aborted).toBe(true)
  await billing.clock.advance('1s')
  expect(billing.heard.at(-1)).toBe('handled m')
  expect(signals[1]?.aborted).toBe(false)
})

test('one that ends in time is left alone, and so is its error', async () => {
  await using billing = await handling(
    (clock) => timeout('5s', { clock }),
    (_, { attempt, signal }) => {
      if (attempt === 1) throw new Error('no funds')
      signal.addEventListener('abort', () => billing.heard.push('aborted'))
    },
  )
  await billing.send(1, { id: 'm' })
  await billing.clock.advance('1h')
  expect(billing.heard).toEqual(['retried: no funds', 'handled m'])
})

test.each([0, -1, 'soon', undefined])('the duration %s is refused', (duration) => {
  // @ts-expect-error: what a caller without types can do
  expect(() => timeout(duration)).toThrow(ConfigurationError)
})
