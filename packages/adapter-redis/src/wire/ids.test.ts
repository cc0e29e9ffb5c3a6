import { describe, expect, it } from 'vitest'
import { compareIds, idAfter, idBefore } from './ids.ts'

describe('entry ids', () => {
  it('have a next and a previous one, across milliseconds', () => {
    expect(idAfter('5-1')).toBe('5-2')
    expect(idAfter('5-18446744073709551615')).toBe('6-0')
    expect(idBefore('5-2')).toBe('5-1')
    expect(idBefore('5-0')).toBe('4-18446744073709551615')
    expect(idBefore('5')).toBe('4-18446744073709551615')
    expect(idBefore('0-0')).toBe('0-0')
  })

  it('compare by time, then by number, beyond what a double holds', () => {
    expect(compareIds('1-9', '2-1')).toBeLessThan(0)
    expect(compareIds('2-18446744073709551615', '2-18446744073709551614')).toBeGreaterThan(0)
    expect(compareIds('2-1', '2-1')).toBe(0)
  })
})
