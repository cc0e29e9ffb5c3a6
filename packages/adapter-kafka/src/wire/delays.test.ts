import { expect, test } from 'vitest'
import { type DelaySettings, DueHeap, planDelay } from './delays.ts'

const second = 1000
const hour = 3600 * second
const settings: DelaySettings = {
  holdMs: 2 * second,
  tiersMs: [1, 4, 15, 60, 240, 900, 3600].map((s) => s * second),
}

test('what is due soon waits in memory', () => {
  expect(planDelay(-5, settings)).toEqual({ to: 'retry' })
  expect(planDelay(0, settings)).toEqual({ to: 'retry' })
  expect(planDelay(2 * second, settings)).toEqual({ to: 'retry' })
})

test('what is due later waits in the partition of the longest wait that leaves time for the last stage', () => {
  expect(planDelay(2 * second + 1, settings)).toEqual({ to: 'delay', partition: 0, waitMs: second })
  expect(planDelay(5 * second, settings)).toEqual({ to: 'delay', partition: 1, waitMs: 4 * second })
  expect(planDelay(5 * second - 1, settings)).toEqual({ to: 'delay', partition: 0, waitMs: second })
  expect(planDelay(100 * hour, settings)).toEqual({ to: 'delay', partition: 6, waitMs: hour })
})

test('no stage outlasts the delay, and every delay ends in memory after few stages', () => {
  for (let delay = 0; delay < 8 * hour; delay += 7919) {
    let remaining = delay
    let stages = 0
    let least = Number.POSITIVE_INFINITY
    for (
      let plan = planDelay(remaining, settings);
      plan.to === 'delay';
      plan = planDelay(remaining, settings)
    ) {
      remaining -= plan.waitMs
      stages += 1
      least = Math.min(least, remaining)
    }
    expect(least).toBeGreaterThanOrEqual(settings.holdMs / 2)
    expect(stages).toBeLessThan(30)
  }
})

test('stages that are late by less than half of the hold do not make the message late', () => {
  let remaining = 90 * second
  for (
    let plan = planDelay(remaining, settings);
    plan.to === 'delay';
    plan = planDelay(remaining, settings)
  ) {
    remaining -= plan.waitMs + 900
  }
  expect(remaining).toBeGreaterThan(0)
})

test('a heap gives what is due, earliest first, and equally early ones in their order', () => {
  const heap = new DueHeap<string>()
  heap.add(30, 'c')
  heap.add(10, 'a')
  heap.add(20, 'b1')
  heap.add(20, 'b2')
  expect(heap.earliest).toBe(10)
  expect(heap.takeDue(9)).toEqual([])
  expect(heap.takeDue(20)).toEqual(['a', 'b1', 'b2'])
  expect(heap.size).toBe(1)
  expect(heap.earliest).toBe(30)
  expect(heap.takeDue(100)).toEqual(['c'])
  expect(heap.earliest).toBeUndefined()
})

test('a heap keeps its order through many additions and removals', () => {
  const heap = new DueHeap<number>()
  let seed = 11
  const times: number[] = []
  for (let step = 0; step < 1000; step += 1) {
    seed = (seed * 48_271) % 2_147_483_647
    times.push(seed % 500)
    heap.add(seed % 500, seed % 500)
  }
  heap.keep((time) => time % 3 !== 0)
  const taken: number[] = []
  for (let now = 0; now <= 500; now += 50) taken.push(...heap.takeDue(now))
  expect(taken).toEqual(times.filter((time) => time % 3 !== 0).sort((a, b) => a - b))
})
