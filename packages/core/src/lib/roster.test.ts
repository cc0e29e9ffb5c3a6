import { expect, test } from 'vitest'
import { Roster } from './roster.ts'

test('keeps the order in which items came', () => {
  const roster = new Roster<string>()
  const [first, second, third] = ['a', 'b', 'c'].map((item) => roster.add(item))
  expect(roster.all()).toEqual(['a', 'b', 'c'])
  expect(roster.size).toBe(3)
  for (const [place, left] of [
    [second, ['a', 'c']],
    [first, ['c']],
    [third, []],
  ] as const) {
    expect(place !== undefined && roster.remove(place)).toBe(true)
    expect(roster.all()).toEqual(left)
  }
  expect(roster.size).toBe(0)
  roster.add('d')
  expect(roster.all()).toEqual(['d'])
})

test('takes items at the front too, and tells who is first', () => {
  const roster = new Roster<string>()
  expect(roster.first).toBeUndefined()
  const last = roster.addFirst('b')
  roster.addFirst('a')
  roster.add('c')
  expect(roster.all()).toEqual(['a', 'b', 'c'])
  expect(roster.first?.item).toBe('a')
  roster.remove(last)
  expect(roster.all()).toEqual(['a', 'c'])
})

test('removes an item once', () => {
  const roster = new Roster<string>()
  const place = roster.add('a')
  roster.add('b')
  expect(roster.remove(place)).toBe(true)
  expect(roster.remove(place)).toBe(false)
  expect(roster.all()).toEqual(['b'])
  expect(roster.size).toBe(1)
})

test('holds the same item twice', () => {
  const roster = new Roster<string>()
  const place = roster.add('a')
  roster.add('a')
  roster.remove(place)
  expect(roster.all()).toEqual(['a'])
})

test('what was removed holds on to nothing', () => {
  const roster = new Roster<string>()
  const places = ['a', 'b', 'c'].map((item) => roster.add(item))
  for (const place of places) roster.remove(place)
  for (const place of places) expect(place).toMatchObject({ before: undefined, after: undefined })
})
