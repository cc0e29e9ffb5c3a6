import { expect, test } from 'vitest'
import { intercept } from './intercept.ts'

class Counter {
  #count = 0

  add(step: number): this {
    this.#count += step
    return this
  }

  get count(): number {
    return this.#count
  }
}

test('calls go through the interceptor, also in a chain, and others do not', () => {
  const doubled = intercept(new Counter(), { add: ([step], forward) => forward(Number(step) * 2) })
  expect(doubled.add(1).add(2).count).toBe(6)
})

test('a call can be kept from the object', () => {
  const stuck = intercept(new Counter(), { add: () => undefined })
  stuck.add(1)
  expect(stuck.count).toBe(0)
})
