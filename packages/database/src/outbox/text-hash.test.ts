import { expect, test } from 'vitest'
import { textHash, textSum } from './text-hash.ts'

const known = { high: 3_419_866_898, low: 791_749_518 }

test('a text has the same hash in every process and version', () => {
  expect(textHash('["waybill.","orders","k-1"]')).toEqual(known)
})

test('a text has the same hash in parts', () => {
  expect(textHash('"k-1"]', textSum('["waybill.","orders",'))).toEqual(known)
  expect(textHash('', textSum('["waybill.","orders","k-1"]'))).toEqual(known)
})

test('texts that differ little are spread evenly over slots, and no two of them meet', () => {
  const counts = Array.from({ length: 64 }, () => 0)
  const seen = new Set<string>()
  for (let n = 0; n < 64_000; n += 1) {
    const { high, low } = textHash(`["waybill.","orders","customer-${n}"]`)
    seen.add(`${high}/${low}`)
    counts[low % 64] = (counts[low % 64] ?? 0) + 1
  }
  expect(seen.size).toBe(64_000)
  // A thousand each; the deviation of chance is 31.
  expect(Math.min(...counts)).toBeGreaterThan(850)
  expect(Math.max(...counts)).toBeLessThan(1150)
})
