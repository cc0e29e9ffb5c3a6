import { describe, expect, test } from 'vitest'
import { describeTally, tally } from './tally.ts'

describe('tally', () => {
  test('finds nothing when both multisets are the same, whatever the order', () => {
    expect(tally(['a', 'b', 'b'], ['b', 'a', 'b'])).toEqual({ missing: [], unexpected: [], duplicates: [] })
  })

  test('names every missing, unexpected and extra delivery once for each time', () => {
    expect(tally(['a', 'a', 'b'], ['b', 'b', 'b', 'c'])).toEqual({
      missing: ['a', 'a'],
      unexpected: ['c'],
      duplicates: ['b', 'b'],
    })
  })
})

describe('describeTally', () => {
  test('allows duplicates up to the budget and not one more', () => {
    const difference = { missing: [], unexpected: [], duplicates: ['a', 'a'] }
    expect(describeTally(difference, 2)).toBeUndefined()
    expect(describeTally(difference, 1)).toBe('2 duplicates, 1 allowed (a, a)')
  })

  test('shows a few ids of many', () => {
    const difference = { missing: ['a', 'b', 'c', 'd'], unexpected: ['e'], duplicates: [] }
    expect(describeTally(difference, 0)).toBe('4 missing (a, b, c, …), 1 unexpected (e)')
  })
})
