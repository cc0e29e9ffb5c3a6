import { expect, test } from 'vitest'
import { z } from 'zod'
import { lazily } from './validation.ts'

test('a schema is made when it is first used, and only once', () => {
  let made = 0
  const schema = lazily(() => {
    made += 1
    return z.string()
  })
  expect(made).toBe(0)
  expect(schema()).toBe(schema())
  expect(made).toBe(1)
})
