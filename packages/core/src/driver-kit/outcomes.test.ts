import { expect, test } from 'vitest'
import { done, failed, firstFailure, outcomesOf, withheld } from './outcomes.ts'

test('a call that fails fails for each item', async () => {
  const outcomes = await outcomesOf([1, 2], 'Sending', async () => {
    throw new Error('gone')
  })
  expect(outcomes).toHaveLength(2)
  expect(firstFailure(outcomes)?.error.message).toBe('Sending: gone')
})

test('a call that answers says how each item went', async () => {
  const outcomes = [done, failed(new Error('no'))]
  expect(await outcomesOf([1, 2], 'Sending', async () => outcomes)).toBe(outcomes)
  expect(firstFailure([done, done])).toBeUndefined()
})

test('what is withheld can be sent again, and was not sent', () => {
  expect(withheld('k').error).toMatchObject({ code: 'rejected', retryable: true, fate: 'not-sent' })
})
