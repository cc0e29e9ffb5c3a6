import { expect, test } from 'vitest'
import { virtualClock } from '../lib/virtual-clock.ts'
import { type Deadline, Deadlines } from './deadlines.ts'

test('each deadline is told once, at its time, whatever the order they were added in', async () => {
  const clock = virtualClock()
  const deadlines = new Deadlines(clock)
  const told: [number, number][] = []
  for (const at of [30, 10, 20, 10, 50, 40]) deadlines.add(at, () => told.push([at, clock.monotonic()]))
  await clock.advance(45)
  expect(told).toEqual([
    [10, 10],
    [10, 10],
    [20, 20],
    [30, 30],
    [40, 40],
  ])
  await clock.advance(100)
  expect(told).toHaveLength(6)
})

test('one that is removed is not told, wherever it stood among the others', async () => {
  const clock = virtualClock()
  const deadlines = new Deadlines(clock)
  const told: number[] = []
  // 7919 is prime to 1000: every time comes once, in no order.
  const times = Array.from({ length: 1000 }, (_, index) => (index * 7919) % 1000)
  const added = times.map((at): [number, Deadline] => [at, deadlines.add(at, () => told.push(at))])
  for (const [at, deadline] of added) if (at % 3 === 0) deadlines.remove(deadline)
  for (const [at, deadline] of added) if (at % 3 === 0) deadlines.remove(deadline)
  await clock.advance(1000)
  expect(told).toEqual([...times].sort((one, other) => one - other).filter((at) => at % 3 !== 0))
})

test('one that is infinite is never reached, and needs no timer', async () => {
  let timers = 0
  const clock = { ...virtualClock(), after: () => () => (timers += 1) }
  const deadlines = new Deadlines(clock)
  deadlines.remove(deadlines.add(Number.POSITIVE_INFINITY, () => {}))
  expect(timers).toBe(0)
})

test('one that is told may add and remove others', async () => {
  const clock = virtualClock()
  const deadlines = new Deadlines(clock)
  const told: string[] = []
  const other = deadlines.add(10, () => told.push('removed by the first'))
  deadlines.add(5, () => {
    told.push('first')
    deadlines.remove(other)
    deadlines.add(7, () => told.push('added by the first'))
  })
  await clock.advance(20)
  expect(told).toEqual(['first', 'added by the first'])
})
