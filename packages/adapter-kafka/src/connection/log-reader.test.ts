import { expect, test } from 'vitest'
import type { FetchedRecords } from '../client/logs.ts'
import { type LogGateway, LogReader } from './log-reader.ts'

const empty = { records: [], isThrottled: false }

/** A log of some records whose broker answers each first fetch of a place with nothing, `times` times. */
function logOf(count: number, times: number, isThrottled = false) {
  const asked = new Map<number, number>()
  const logs: LogGateway['logs'] = {
    offsets: async (_, which) => new Map([[0, which === 'earliest' ? 0 : count]]),
    async read(_topic, _partition, from): Promise<FetchedRecords> {
      const tries = (asked.get(from) ?? 0) + 1
      asked.set(from, tries)
      if (tries <= times || from >= count) return { ...empty, isThrottled, next: from }
      const record = { key: null, value: Buffer.from(String(from)), timestamp: '0' }
      return { records: [{ ...record, offset: String(from) }], isThrottled: false, next: from + 1 }
    },
  }
  return new LogReader((_, work) => work({ logs }), 'letters')
}

async function read(reader: LogReader): Promise<string[]> {
  const offsets: string[] = []
  await reader.readOn(
    ({ offset }) => offsets.push(offset),
    () => {},
  )
  return offsets
}

test.each([0, 1, 5])('an answer without records, %s times, is no end of the log', async (times) => {
  expect(await read(logOf(3, times))).toEqual(['0', '1', '2'])
})

test('a broker that gives nothing for long, by a quota, is told of, and the log is read on the next time', async () => {
  const reader = logOf(1, 25, true)
  await expect(read(reader)).rejects.toMatchObject({ code: 'throttled', retryable: true })
  expect(await read(reader)).toEqual(['0'])
})

test('what is left of a compacted log may be nothing', async () => {
  const reader = logOf(2, 1000)
  expect(await read(reader)).toEqual([])
})
