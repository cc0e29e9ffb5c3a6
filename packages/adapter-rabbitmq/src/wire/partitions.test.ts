import { expect, test } from 'vitest'
import { partitionOf, partitionPriorities } from './partitions.ts'

test('the partition of a key never changes', () => {
  // CRC-32 of "123456789" is 0xCBF43926, the check value in every catalogue of CRCs.
  expect(partitionOf('123456789', 1000)).toBe(0xcb_f4_39_26 % 1000)
  expect(partitionOf('Grüße', 8)).toBe(partitionOf('Grüße', 8))
})

test('keys spread over all partitions', () => {
  const seen = new Set(Array.from({ length: 200 }, (_, index) => partitionOf(`key-${index}`, 8)))
  expect(seen.size).toBe(8)
})

test('each member ranks every partition, each in another order', () => {
  const one = partitionPriorities('a', 8)
  expect([...one].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  expect(partitionPriorities('a', 8)).toEqual(one)
  expect(partitionPriorities('b', 8)).not.toEqual(one)
})

test('two members share the partitions about evenly', () => {
  for (let pair = 0; pair < 100; pair += 1) {
    const [left, right] = [partitionPriorities(`l${pair}`, 8), partitionPriorities(`r${pair}`, 8)]
    const won = left.filter((priority, partition) => priority > (right[partition] ?? 0)).length
    expect(won).toBeGreaterThan(0)
    expect(won).toBeLessThan(8)
  }
})
