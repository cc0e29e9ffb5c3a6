import { expect, test } from 'vitest'
import { ServerClock } from './server-clock.ts'

test('the server is asked once by all who come at the same time, and again after a failure', async () => {
  let asked = 0
  const clock = new ServerClock(async () => {
    asked += 1
    if (asked === 1) throw new Error('away')
    return 1_000_000
  })
  const [one, other] = await Promise.allSettled([clock.ready(), clock.ready()])
  expect([one?.status, other?.status, asked]).toEqual(['rejected', 'rejected', 1])
  await Promise.all([clock.ready(), clock.ready()])
  await clock.ready()
  expect(asked).toBe(2)
  expect(clock.now()).toBeGreaterThanOrEqual(1_000_000)
  expect(clock.now()).toBeLessThan(1_060_000)
})
