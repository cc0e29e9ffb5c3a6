import { expect, test } from 'vitest'
import { dueRuns } from './due-runs.ts'
import { parseTimes, runAfter, type ScheduleTimes } from './schedule-spec.ts'

const at = (text: string) => new Date(text).getTime()

/** The runs after a moment, as ISO texts. */
function runs(times: ScheduleTimes, from: string, count: number): readonly string[] {
  const stored = parseTimes(times, 'times')
  const found: string[] = []
  for (let next = runAfter(stored, at(from), at(from)); next !== undefined && found.length < count; ) {
    found.push(new Date(next).toISOString())
    next = runAfter(stored, next, at(from))
  }
  return found
}

const berlin = { timeZone: 'Europe/Berlin' }

test('a time that daylight saving leaves out is made up for, and one that comes twice counts once', () => {
  expect(runs({ cron: '30 2 * * *', ...berlin }, '2026-03-28T00:00:00Z', 3)).toEqual([
    '2026-03-28T01:30:00.000Z',
    '2026-03-29T01:00:00.000Z',
    '2026-03-30T00:30:00.000Z',
  ])
  expect(runs({ cron: '30 2 * * *', ...berlin }, '2026-10-24T00:00:00Z', 3)).toEqual([
    '2026-10-24T00:30:00.000Z',
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ])
  expect(runs({ cron: '0 * * * *', ...berlin }, '2026-10-24T23:30:00Z', 3)).toEqual([
    '2026-10-25T00:00:00.000Z',
    '2026-10-25T01:00:00.000Z',
    '2026-10-25T02:00:00.000Z',
  ])
})

test('seconds, intervals and dates', () => {
  expect(runs({ cron: '*/20 * * * * *' }, '2026-01-01T00:00:01Z', 2)).toEqual([
    '2026-01-01T00:00:20.000Z',
    '2026-01-01T00:00:40.000Z',
  ])
  expect(runs({ every: '90s' }, '2026-01-01T00:00:00Z', 2)).toEqual([
    '2026-01-01T00:01:30.000Z',
    '2026-01-01T00:03:00.000Z',
  ])
  expect(runs({ at: new Date('2026-02-01T00:00:00Z') }, '2026-01-01T00:00:00Z', 2)).toEqual([
    '2026-02-01T00:00:00.000Z',
  ])
})

test('what was missed is left out, runs once, or runs each time', () => {
  const due = at('2026-01-01T08:00:00Z')
  const late = at('2026-01-04T09:30:00Z')
  const after = (missed: 'skip' | 'once' | 'all', now = late) => {
    const { runs, next } = dueRuns(parseTimes({ cron: '0 8 * * *', missed }, 'times'), due, due, now)
    return [
      runs.map((run) => new Date(run).getUTCDate()),
      next === undefined ? 0 : new Date(next).getUTCDate(),
    ]
  }
  expect(after('skip')).toEqual([[], 5])
  expect(after('once')).toEqual([[4], 5])
  expect(after('all')).toEqual([[1, 2, 3, 4], 5])
  expect(after('skip', due + 59_000)).toEqual([[1], 2])
  expect(after('once', due - 1)).toEqual([[], 1])
  const weekdays = parseTimes({ cron: '0 8 * * 1-5' }, 'times')
  const monday = at('2026-01-05T08:00:00Z')
  expect(dueRuns(weekdays, at('2026-01-01T08:00:00Z'), 0, monday + 1).runs).toEqual([monday])
  const often = parseTimes({ cron: '* * * * * *' }, 'times')
  expect(dueRuns(often, due, 0, late + 500).runs).toEqual([late])
})

test('times that are wrong are told with their path', () => {
  expect(() => parseTimes({ cron: 'often' }, 'schedule')).toThrow('cron: ')
  expect(() => parseTimes({ cron: '0 0 31 2 *' }, 'schedule')).toThrow('cron: it never runs')
  expect(() => parseTimes({ cron: '* * * * *', timeZone: 'Mars/North' }, 'schedule')).toThrow('timeZone: ')
  expect(() => parseTimes({ every: '1s', at: new Date() }, 'schedule')).toThrow('exactly one')
  expect(() => parseTimes({ every: '10ms' }, 'schedule')).toThrow('every: ')
})
