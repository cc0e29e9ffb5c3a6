import { expect, test } from 'vitest'
import { countOf, formatDuration } from './format.ts'
import { legible, shorten } from './legible.ts'
import { describeProgress } from './progress.ts'
import { renderTable } from './table.ts'

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [1500, '1 s'],
  [60_000, '1 min'],
  [200_000, '3 min 20 s'],
  [90_000_000, '1 d 1 h'],
])('%i ms are %s', (milliseconds, expected) => {
  expect(formatDuration(milliseconds)).toBe(expected)
})

test('counts agree with their noun', () => {
  expect([countOf(1, 'letter'), countOf(12_345, 'letter')]).toEqual(['1 letter', '12,345 letters'])
})

test('progress tells the share, the speed and the time left, or only the speed', () => {
  expect(describeProgress('Replaying', 400, 1000, 2000)).toBe(
    'Replaying ██████████░░░░░░░░░░░░░░ 400 of 1,000 (40 %), 200/s, 3 s left',
  )
  expect(describeProgress('Sending', 400, undefined, 2000)).toBe('Sending 400, 200/s')
})

test('what acts on a terminal is taken out of texts of messages', () => {
  expect(legible('a\u001b[31mred\u001b[0m\nb\u0007')).toBe('ared b ')
  expect(shorten('abcdef', 4)).toBe('abc…')
})

test('a table has one line a row, aligned, however odd its texts are', () => {
  const columns = [
    { title: 'name', text: ({ name }: { name: string }) => name },
    { title: 'count', align: 'right' as const, text: ({ count }: { count: number }) => String(count) },
  ]
  const rows = [
    { name: 'billing\u001b[2J\nx', count: 7 },
    { name: 'é', count: 1000 },
  ]
  expect(renderTable(columns, rows)).toBe('NAME       COUNT\nbilling x      7\né           1000')
})
