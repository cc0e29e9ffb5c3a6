import { expect, test } from 'vitest'
import { assignPartitions, decodeOwned, encodeOwned, type GroupMember } from './assignment.ts'

const counts = { orders: 8, 'orders..g..retry': 8, 'orders..g..delay': 9 }

function members(...owned: readonly (readonly number[])[]): GroupMember[] {
  return owned.map((each, index) => ({ id: `member-${index}`, owned: each }))
}

function mainOf(assigned: ReturnType<typeof assignPartitions>): number[][] {
  return [...assigned.values()].map(({ orders }) => orders ?? [])
}

test('a single member gets everything', () => {
  const assigned = assignPartitions(members([]), counts, 8)
  expect(assigned.get('member-0')).toEqual({
    orders: [0, 1, 2, 3, 4, 5, 6, 7],
    'orders..g..retry': [0, 1, 2, 3, 4, 5, 6, 7],
    'orders..g..delay': [0, 1, 2, 3, 4, 5, 6, 7, 8],
  })
})

test('each partition goes to exactly one member, in equal shares', () => {
  for (let size = 1; size <= 12; size += 1) {
    const assigned = mainOf(assignPartitions(members(...Array.from({ length: size }, () => [])), counts, 8))
    expect(assigned.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    const shares = assigned.map(({ length }) => length)
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
  }
})

test('partitions of one index stay together', () => {
  for (const assignment of assignPartitions(members([], [], []), counts, 8).values()) {
    expect(assignment['orders..g..retry']).toEqual(assignment.orders)
  }
})

test('a member that joins gets its share and no more moves', () => {
  expect(mainOf(assignPartitions(members([0, 1, 2, 3], [4, 5, 6, 7], []), counts, 8))).toEqual([
    [0, 1, 2],
    [4, 5, 6],
    [3, 7],
  ])
})

test('of a member that leaves only its own partitions move', () => {
  const [first, second] = mainOf(assignPartitions(members([0, 1, 2], [3, 4, 5]), counts, 8))
  expect(first).toEqual(expect.arrayContaining([0, 1, 2]))
  expect(second).toEqual(expect.arrayContaining([3, 4, 5]))
})

test('of two that claim the same partition one gets it', () => {
  const assigned = mainOf(assignPartitions(members([0, 1, 2, 3], [0, 1, 2, 3]), counts, 8))
  expect(assigned.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
})

test('claims on partitions that do not exist are overlooked', () => {
  expect(mainOf(assignPartitions(members([70, 71], []), counts, 8)).flat()).toHaveLength(8)
})

test('what a member owns survives the way to the leader; nonsense is nothing', () => {
  expect(decodeOwned(encodeOwned([3, 5]))).toEqual([3, 5])
  expect(decodeOwned(null)).toEqual([])
  expect(decodeOwned(Buffer.alloc(0))).toEqual([])
  expect(decodeOwned(Buffer.from('{"owned":"all"}'))).toEqual([])
  expect(decodeOwned(Buffer.from([1, 2, 3]))).toEqual([])
})

test('a topic whose partitions are bound to no others is shared out by itself', () => {
  const members = [
    { id: 'a', owned: [0, 1, 2, 3] },
    { id: 'b', owned: [4, 5, 6, 7] },
  ]
  const assigned = assignPartitions(members, { orders: 8, retry: 2 }, 8, ['retry'])
  expect([assigned.get('a')?.retry, assigned.get('b')?.retry]).toEqual([[0], [1]])
  expect(assigned.get('a')?.orders).toEqual([0, 1, 2, 3])
})
