import { expect, test } from 'vitest'
import { addStats } from './stats.ts'

test('figures add up, and what one place does not know nobody knows', () => {
  expect(
    addStats([
      { waiting: 1, inFlight: 2, delayed: undefined, dead: 0 },
      { waiting: 3, inFlight: 4, delayed: 5, dead: 0 },
    ]),
  ).toEqual({ waiting: 4, inFlight: 6, delayed: undefined, dead: 0 })
})
