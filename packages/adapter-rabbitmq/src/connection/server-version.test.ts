import { expect, test } from 'vitest'
import { isAtLeast } from './server-version.ts'

test('compares versions by their numbers, not as text', () => {
  const is = (version: unknown) => isAtLeast(version, 4, 3)
  expect(['3.13.7', '4.0.5', '4.2.10', '4.2.0-rc.1'].map(is)).toEqual([false, false, false, false])
  expect(['4.3.0', '4.3.0-beta.2', '4.10.1', '5.0.0', '10.0.0'].map(is)).toEqual([
    true,
    true,
    true,
    true,
    true,
  ])
})

test('takes a version it cannot read for the newest', () => {
  expect([isAtLeast(undefined, 4, 3), isAtLeast('dev', 4, 3)]).toEqual([true, true])
})
