import { expect, test } from 'vitest'
import { MessagingError } from '../lib/errors.ts'
import { openDriver } from './open-driver.ts'

test('a driver is opened by its URL, and the options are checked as those of connect', async () => {
  const driver = await openDriver({ url: 'memory:' })
  expect(driver.name).toBe('memory')
  await driver.close()
  // @ts-expect-error: what a caller without types can do
  const wrong: unknown = await openDriver({ url: 'memory:', provision: 'none', onEvent: 5 }).catch(
    (error) => error,
  )
  expect(MessagingError.is(wrong) && wrong.message).toMatch(/onEvent: expected a function(.|\n)*provision/)
})
