import { expect, test } from 'vitest'
import { isWished, wishesIn, wishTags } from './wish-tags.ts'

test('patterns come back as they were, whatever their characters', () => {
  const wishes = ['order.created', 'order.*', 'invoice.#', 'ä.π', 'a=2a:b']
  const tags = wishTags({}, wishes)
  expect([...(wishesIn(tags) ?? [])].sort()).toEqual([...wishes].sort())
  for (const value of Object.values(tags)) expect(value).toMatch(/^[A-Za-z0-9 _.:/=+@-]{1,256}$/)
})

test('what is there already is not written again', () => {
  const tags = wishTags({}, ['a', 'b'])
  expect(wishTags(tags, ['b', 'a'])).toEqual({})
  expect(wishesIn({ ...tags, ...wishTags(tags, ['b', 'c']) })).toEqual(
    expect.arrayContaining(['a', 'b', 'c']),
  )
})

test('two members that add at the same time keep both wishes', () => {
  const both = { ...wishTags({}, ['a']), ...wishTags({}, ['b']) }
  expect([...(wishesIn(both) ?? [])].sort()).toEqual(['a', 'b'])
})

test('where tags run out, everything is wanted', () => {
  const other = Object.fromEntries(Array.from({ length: 49 }, (_, index) => [`team-${index}`, 'x']))
  const first = { ...other, ...wishTags(other, ['a']) }
  const full = { ...first, ...wishTags(first, ['b']) }
  expect(Object.keys(full)).toHaveLength(50)
  expect(isWished(wishesIn(full), 'anything')).toBe(true)
  expect(wishTags(full, ['c'])).toEqual({})
  const long = wishTags({}, ['x'.repeat(300)])
  expect(isWished(wishesIn(long), 'anything')).toBe(true)
})

test('a queue that nobody has tagged wants everything, a tagged one what its patterns match', () => {
  expect(isWished(wishesIn({ team: 'sales' }), 'order.created')).toBe(true)
  const wishes = wishesIn(wishTags({}, ['order.#']))
  expect(isWished(wishes, 'order.created')).toBe(true)
  expect(isWished(wishes, 'invoice.created')).toBe(false)
})
