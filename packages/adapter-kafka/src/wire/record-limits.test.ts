import { expect, test } from 'vitest'
import { detached, recordBytes } from './record-limits.ts'

test('what waits in memory keeps nothing of the fetch that brought it', () => {
  const fetched = Buffer.alloc(1024 * 1024, 7)
  const part = (from: number, to: number) => fetched.subarray(from, to)
  const record = detached({
    offset: '1',
    timestamp: '2',
    key: part(0, 5000),
    value: part(5000, 15_000),
    headers: { one: part(0, 6000), several: [part(0, 6000), null] },
  })
  const { key, value, headers } = record
  const several = headers?.several
  for (const bytes of [key, value, headers?.one, Array.isArray(several) ? several[0] : undefined]) {
    expect(Buffer.isBuffer(bytes) && bytes.buffer !== fetched.buffer).toBe(true)
  }
  expect(value?.equals(part(5000, 15_000))).toBe(true)
})

test('a record counts with its key and all its headers', () => {
  const bytes = recordBytes({
    key: Buffer.alloc(100),
    value: Buffer.alloc(1000),
    headers: { a: [Buffer.alloc(200), Buffer.alloc(300)], b: null },
  })
  expect(bytes).toBeGreaterThanOrEqual(1600)
  expect(bytes).toBeLessThan(1750)
})
