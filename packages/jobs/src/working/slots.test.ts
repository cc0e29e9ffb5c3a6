import { expect, test } from 'vitest'
import { Slots } from './slots.ts'

test('so many enter at once, in the order in which they came', async () => {
  const slots = new Slots(2)
  const entered: number[] = []
  const enter = async (n: number) => {
    if (await slots.enter()) entered.push(n)
  }
  const all = [1, 2, 3, 4].map(enter)
  await Promise.all(all.slice(0, 2))
  expect(entered).toEqual([1, 2])
  slots.leave()
  await all[2]
  slots.leave()
  await all[3]
  expect(entered).toEqual([1, 2, 3, 4])
})

test('nobody enters while it is paused, and nobody any more once it is over', async () => {
  const slots = new Slots(1)
  slots.pause()
  const waits = slots.enter()
  slots.resume()
  expect(await waits).toBe(true)
  const late = slots.enter()
  slots.end()
  expect(await late).toBe(false)
  expect(await slots.enter()).toBe(false)
})
