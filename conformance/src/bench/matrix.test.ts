import { expect, test } from 'vitest'
import type { Section } from '../case/case.ts'
import type { DriverColumn } from './driver-column.ts'
import { mergeColumns, toMatrix } from './matrix.ts'

const run = async () => {}
const contract: Section[] = [
  { title: 'Basics', cases: [{ number: 1, title: 'All arrive', run }] },
  { title: 'Delays', cases: [{ number: 61, part: 'a', title: 'On time', requires: ['delay'], run }] },
]

function column(adapter: string, results: DriverColumn['results']): DriverColumn {
  const flags = { ordered: true, delay: false, priority: true, broadcast: true, replay: true, seek: true }
  const figures = { delayGranularityMs: 20, redeliveryMs: 100, maxMessageBytes: 1024 }
  const capabilities = {
    ...flags,
    ...figures,
    lease: true,
    countsCrashes: true,
    durableRetry: true,
    release: true,
    yieldsKeys: true,
    deadLetters: true,
    stats: true,
    changesFilters: true,
    keepsDeliveries: true,
    maxDelayMs: Number.POSITIVE_INFINITY,
    maxLeaseMs: Number.POSITIVE_INFINITY,
    maxPrefetch: Number.POSITIVE_INFINITY,
    publishBatchSize: 1,
    publishParallelism: 1,
  }
  return { adapter, capabilities, results }
}

const passed = { id: '1', status: 'passed' } as const
const skipped = { id: '61a', status: 'skipped', reason: 'no capability delay' } as const

test('a column for each driver, a row for each capability, section and case', () => {
  const page = toMatrix([column('memory', [passed, skipped])], contract)
  expect(page).toContain('| delay | – |')
  expect(page).toContain('| delayGranularityMs | 20 |')
  expect(page).toContain('| Basics | 1 of 1 |')
  expect(page).toContain('| **all** | **1 of 1** |')
  expect(page).toContain('| 1 All arrive | ✓ |')
})

test('what was skipped has its reason below, once', () => {
  const drivers = [column('memory', [passed, skipped]), column('kafka', [passed, skipped])]
  const page = toMatrix(drivers, contract)
  expect(page).toContain('| 61a On time | – (1) | – (1) |')
  expect(page.match(/no capability delay/g)).toHaveLength(1)
})

test('what failed is counted and marked, what was not run is open', () => {
  const page = toMatrix([column('kafka', [{ id: '1', status: 'failed' }])], contract)
  expect(page).toContain('| Basics | 0 of 1, 1 failed |')
  expect(page).toContain('| 61a On time | ? |')
})

test('fresh columns replace those of the same driver, the order is that of the documentation', () => {
  const merged = mergeColumns(
    [column('redis', [passed]), column('zebra', [])],
    [column('memory', []), column('redis', [])],
  )
  expect(merged.map(({ adapter, results }) => [adapter, results.length])).toEqual([
    ['memory', 0],
    ['redis', 0],
    ['zebra', 0],
  ])
})
