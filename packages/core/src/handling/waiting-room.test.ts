import { expect, test } from 'vitest'
import { virtualClock } from '../lib/virtual-clock.ts'
import { WaitingRoom } from './waiting-room.ts'

test('a flood of one key leaves room for the next', () => {
  const room = new WaitingRoom(virtualClock())
  const most = 16
  const admitted = (key: string) =>
    Array.from({ length: 100 }, () => room.enter(key, most)).filter(Boolean).length
  const counts = ['flood', 'next', 'third'].map(admitted)
  expect(counts[0]).toBeLessThanOrEqual(most / 2)
  for (const count of counts) expect(count).toBeGreaterThan(0)
  expect(counts.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(most)
})

test('what has left makes room again', () => {
  const room = new WaitingRoom(virtualClock())
  expect([room.enter('a', 1), room.enter('a', 1), room.enter('b', 1)]).toEqual([true, false, false])
  room.leave('a')
  expect(room.enter('b', 1)).toBe(true)
})

test('those turned away come one after the other, and within bounds, however many they are', () => {
  const room = new WaitingRoom(virtualClock())
  const delays = Array.from({ length: 100_000 }, () => room.nextDelay('a', 20, 0))
  expect(Math.min(...delays.slice(0, 1000))).toBeGreaterThanOrEqual(1000)
  // Of a full rate of one in 20 ms, the thousandth comes after some 20 s.
  expect(delays[1000]).toBeGreaterThan(20_000)
  expect(delays.filter((ms) => ms < 1000 || ms > 330_000)).toEqual([])
})

test('nothing comes before it can be handled', () => {
  const room = new WaitingRoom(virtualClock())
  expect(room.nextDelay('a', 0, 3_600_000)).toBeGreaterThanOrEqual(3_600_000)
  expect(room.nextDelay('b', 0, 0)).toBeLessThan(2000)
})
