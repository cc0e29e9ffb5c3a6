import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { blockedLoopWarning, LoopDelay } from './loop-delay.ts'

test('measures for how long the event loop was blocked since it was last asked', async () => {
  const loopDelay = new LoopDelay()
  await wait(300)
  loopDelay.takeLongestMs()
  await wait(300)
  for (const until = performance.now() + 600; performance.now() < until; );
  await wait(300)
  expect(loopDelay.takeLongestMs()).toBeGreaterThanOrEqual(300)
  loopDelay.close()
})

test('a loss of the connection is put down to it only from a heartbeat on, with both times', () => {
  expect(blockedLoopWarning(999, 1000)).toBeUndefined()
  expect(blockedLoopWarning(3500, 1000)).toMatch(/blocked for 3500 ms.*heartbeats of 1000 ms.*worker thread/)
})
