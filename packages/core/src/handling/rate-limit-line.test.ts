import { expect, test } from 'vitest'
import { settle, virtualClock } from '../lib/virtual-clock.ts'
import { RateLimitLine } from './rate-limit-line.ts'

function setUp(spacingMs = 100) {
  const clock = virtualClock()
  let emptied = 0
  const line = new RateLimitLine(clock, spacingMs, () => {
    emptied += 1
  })
  const woken: string[] = []
  const wait = (name: string, waitMs = 1000, over = new AbortController()) => {
    void line.wait(waitMs, over.signal).then(() => woken.push(name))
    return over
  }
  return { clock, line, woken, wait, emptied: () => emptied }
}

test('those who wait go one by one, in the order they came', async () => {
  const { clock, woken, wait, emptied } = setUp()
  for (const name of ['a', 'b', 'c']) wait(name)
  await clock.advance(999)
  expect(woken).toEqual([])
  await clock.advance(1)
  expect(woken).toEqual(['a'])
  await clock.advance(200)
  expect(woken).toEqual(['a', 'b', 'c'])
  expect(emptied()).toBe(1)
})

test('whoever has to wait again keeps its place', async () => {
  const { clock, woken, wait } = setUp()
  const first = wait('a')
  wait('b')
  wait('c')
  await clock.advance(1000)
  wait('a again', 500, first)
  await clock.advance(800)
  expect(woken).toEqual(['a', 'a again', 'b', 'c'])
})

test('whoever gives up is passed over; when all have, nothing is left', async () => {
  const { clock, line, woken, wait, emptied } = setUp()
  const all = ['a', 'b', 'c'].map((name) => wait(name))
  all[0]?.abort()
  await clock.advance(1000)
  expect(woken).toEqual(['a', 'b'])
  all[2]?.abort()
  await settle()
  expect(emptied()).toBe(1)
  expect(line.expectedMs).toBeLessThanOrEqual(100)
})

test('a timer that is late lets go all that are due', async () => {
  const { clock, woken, wait } = setUp(0.01)
  for (let count = 0; count < 5000; count += 1) wait(String(count), 10)
  await clock.advance(60)
  expect(woken).toHaveLength(5000)
})
