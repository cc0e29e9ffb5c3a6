import { expect, test } from 'vitest'
import { broadcastGroupId, groupNames } from './names.ts'

test('the names of a group tell topic, group and purpose', () => {
  expect(groupNames({ name: 'orders', native: {} }, 'billing')).toEqual({
    main: 'orders',
    groupId: 'orders:billing',
    retry: 'orders..billing..retry',
    delay: 'orders..billing..delay',
    dead: 'orders..billing..dead',
  })
})

test('no two groups share a name, whatever dots theirs have', () => {
  const pairs = [
    ['a', 'b..c'],
    ['a..b', 'c'],
    ['a.', 'b'],
    ['a', 'b'],
    ['a.b', 'c'],
    ['a', 'b.c'],
  ] as const
  const names = pairs.map(([name, group]) => groupNames({ name, native: {} }, group).retry)
  expect(new Set(names).size).toBe(pairs.length)
})

test('the longest names core allows stay within the 249 characters of a Kafka topic', () => {
  const longest = groupNames({ name: `${'t'.repeat(63)}.`, native: {} }, 'g'.repeat(64))
  for (const name of Object.values(longest)) {
    expect(name.length).toBeLessThanOrEqual(249)
  }
  expect(longest.retry).toMatch(/^[a-zA-Z0-9._-]+$/)
})

test('each broadcast subscription has a group of its own', () => {
  expect(broadcastGroupId('orders:audit', 'x-1')).not.toBe(broadcastGroupId('orders:audit', 'x-2'))
})

test('topics and groups that exist under other names are used, whatever their names', () => {
  const groups = { billing: { groupId: '__billing', deadLetterTopic: 'd'.repeat(249) } }
  expect(groupNames({ name: 'orders', native: { kafka: { topic: '_legacy', groups } } }, 'billing')).toEqual({
    main: '_legacy',
    groupId: '__billing',
    retry: 'orders..billing..retry',
    delay: 'orders..billing..delay',
    dead: 'd'.repeat(249),
  })
})
