import { expect, test } from 'vitest'
import { describeLevel, ladderHeight, levelName, planDelay } from './delays.ts'

const ladder = { prefix: 'orders:billing', exit: { kind: 'queue', name: 'orders:billing' } } as const

/** What RabbitMQ does with the routing key, level by level. */
function timeInLadder(delayMs: number, levels: number): number {
  const plan = planDelay(delayMs, levels)
  const [, ...bits] = plan.routingKey.split('.')
  let waitedMs = 0
  for (let level = plan.height - 1; level >= 0; level -= 1) {
    if (bits[level] === '1') waitedMs += describeLevel(ladder, level).ttlMs
  }
  return waitedMs + plan.remainingMs
}

test('a delay is never cut short, and rounded up by less than 1/32 s and a millisecond a level', () => {
  for (let delayMs = 1; delayMs < 4e9; delayMs = Math.ceil(delayMs * 1.37)) {
    const waitedMs = timeInLadder(delayMs, 27)
    expect(waitedMs).toBeGreaterThanOrEqual(delayMs)
    expect(waitedMs).toBeLessThan(delayMs + 32 + 5)
  }
})

test('a delay of a power of two seconds waits in one queue', () => {
  expect(planDelay(1000, 27).routingKey).toBe('waybill-delay.0.0.0.0.0.1')
  expect(planDelay(4000, 27).routingKey).toBe('waybill-delay.0.0.0.0.0.0.0.1')
  expect(describeLevel(ladder, 7).ttlMs).toBe(4000)
})

test('a delay enters at its longest level', () => {
  const plan = planDelay(1100, 27)
  expect(levelName(ladder, plan.height - 1)).toBe('orders:billing:delay:1s')
})

test('what a ladder cannot hold is left for another way round', () => {
  expect(ladderHeight(1000)).toBe(5)
  expect(planDelay(968, 5)).toMatchObject({ height: 5, remainingMs: 0 })
  expect(planDelay(2500, 5)).toMatchObject({ height: 5, remainingMs: 1532 })
})

test('the longest ladder keeps within the broker’s limit on times to live', () => {
  const levels = ladderHeight(Number.POSITIVE_INFINITY)
  expect(levels).toBe(27)
  expect(describeLevel(ladder, levels - 1).ttlMs).toBeLessThan(2 ** 32)
})

test('a level binds the messages that wait in it, and passes the others down', () => {
  expect(describeLevel(ladder, 2)).toEqual({
    name: 'orders:billing:delay:125ms',
    ttlMs: 125,
    waitPattern: 'waybill-delay.*.*.1.#',
    passPattern: 'waybill-delay.*.*.0.#',
    below: 'orders:billing:delay:63ms',
  })
  expect(describeLevel(ladder, 0).below).toBeUndefined()
})
