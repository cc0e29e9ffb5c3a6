import { virtualClock } from '@waybill/core/testing'
import { expect, test } from 'vitest'
import { ServiceTime } from './service-time.ts'

test('the time goes on from what the service has shown last, whatever the wall clock says', () => {
  let at = 50
  const clock = { ...virtualClock(), now: () => 0, monotonic: () => at }
  const time = new ServiceTime(clock)
  expect(time.now()).toBeUndefined()
  time.learn(1_000_000)
  at += 250
  expect(time.now()).toBe(1_000_250)
})
