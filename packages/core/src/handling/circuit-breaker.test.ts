import { expect, test } from 'vitest'
import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { PermanentError } from '../lib/errors.ts'
import { virtualClock } from '../lib/virtual-clock.ts'
import { type BreakerState, CircuitBreaker, circuitBreakerSchema } from './circuit-breaker.ts'

// The breaker only tells deliveries apart.
const call = () => ({}) as DeliveryInHand
const down = new Error('down')

function setUp(options: object = {}) {
  const clock = virtualClock()
  const states: BreakerState[] = []
  const parsed = circuitBreakerSchema().parse({ minimumCalls: 4, window: '10s', openFor: '5s', ...options })
  const breaker = new CircuitBreaker(parsed, clock, (state) => states.push(state))
  return { clock, states, breaker }
}

test('it opens at its rate of failures, not before its minimum of calls', () => {
  const { breaker, states } = setUp({ failureRate: 0.5 })
  breaker.succeeded(call())
  breaker.succeeded(call())
  expect([breaker.failed(call(), down), breaker.failed(call(), down)]).toEqual([false, true])
  expect(states).toEqual(['open'])
})

test('calls that left its window do not count, wherever the wall clock goes', async () => {
  const { breaker, clock, states } = setUp()
  for (let count = 0; count < 3; count += 1) breaker.failed(call(), down)
  clock.setBy(-86_400_000)
  await clock.advance('11s')
  clock.setBy(86_400_000)
  expect(breaker.failed(call(), down)).toBe(false)
  expect(states).toEqual([])
})

test('while it is open nothing passes, and failures of what was running are no attempts', async () => {
  const { breaker, clock } = setUp()
  for (let count = 0; count < 4; count += 1) breaker.failed(call(), down)
  expect(breaker.enter(call())).toBe(5000)
  expect(breaker.failed(call(), down)).toBe(true)
  await clock.advance('2s')
  expect(breaker.enter(call())).toBe(3000)
  expect(breaker.retryMs).toBe(3000)
})

test('as many as its probes may try; their success closes it, a failure opens it again', async () => {
  const { breaker, clock, states } = setUp({ probes: 2 })
  for (let count = 0; count < 4; count += 1) breaker.failed(call(), down)
  await clock.advance('5s')
  const [one, other, third] = [call(), call(), call()] as const
  expect([breaker.enter(one), breaker.enter(other)]).toEqual([0, 0])
  expect(breaker.enter(third)).toBeGreaterThan(0)
  breaker.succeeded(one)
  expect(breaker.enter(third)).toBeGreaterThan(0)
  expect(breaker.failed(other, down)).toBe(true)
  await clock.advance('5s')
  for (const probe of [third, call()]) {
    expect(breaker.enter(probe)).toBe(0)
    breaker.succeeded(probe)
  }
  expect(states).toEqual(['open', 'half-open', 'open', 'half-open', 'closed'])
})

test('a probe that hangs, or is never handled, lets the next one try', async () => {
  const { breaker, clock } = setUp()
  for (let count = 0; count < 4; count += 1) breaker.failed(call(), down)
  await clock.advance('5s')
  const [hanging, gone, next] = [call(), call(), call()] as const
  expect(breaker.enter(hanging)).toBe(0)
  expect(breaker.enter(gone)).toBeGreaterThan(0)
  await clock.advance('5s')
  expect(breaker.enter(gone)).toBe(0)
  breaker.left(gone)
  expect(breaker.enter(next)).toBe(0)
  breaker.succeeded(hanging)
  expect(breaker.state).toBe('half-open')
  breaker.succeeded(next)
  expect(breaker.state).toBe('closed')
})

test('a permanent error and what isFailure excepts say nothing; an isFailure that throws excepts nothing', () => {
  const excepting = setUp({ isFailure: (error: unknown) => error !== down })
  for (let count = 0; count < 9; count += 1)
    excepting.breaker.failed(call(), count < 5 ? down : new PermanentError('no'))
  expect(excepting.states).toEqual([])
  const broken = setUp({
    isFailure: () => {
      throw new Error('broken')
    },
  })
  for (let count = 0; count < 4; count += 1) broken.breaker.failed(call(), down)
  expect(broken.states).toEqual(['open'])
})
