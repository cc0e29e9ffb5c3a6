import { expect, test } from 'vitest'
import type { WorkResult } from '../results.ts'
import { renderChart } from './chart.ts'
import { figure } from './figure.ts'
import { renderTable } from './table.ts'

const rounds = (...rates: number[]) => rates.map((rate) => ({ readings: { rate, cpu: 10 }, load: 0 }))

const result: WorkResult = {
  broker: 'rabbitmq',
  letter: 'a',
  takenAt: '2026-11-22T00:00:00.000Z',
  machine: { cpu: 'a processor', cores: 2, memoryGiB: 8, system: 'Linux', node: 'v24', clients: {} },
  scale: { seconds: 1, messages: 1, backlog: 1 },
  contenders: [
    { contender: 'plain', guarantees: 'confirms', rounds: rounds(1000, 500, 2000) },
    { contender: 'waybill', guarantees: 'all of them', rounds: rounds(2000, 1000, 2400) },
    {
      contender: 'rascal',
      guarantees: 'some',
      rounds: [{ readings: { rate: 1 }, problem: '3 of 9 missing', load: 0 }],
    },
  ],
}

test('the table shows medians, paired ratios, targets and rounds that do not count', () => {
  const table = renderTable([result])
  const row = table.split('\n').find((line) => line.startsWith('| (a) sends'))
  expect(row).toContain('| 1,000 ±75 % | 2,000 ±35 % | failed | 2.00 |')
  expect(row).toContain('≥ 1 × plain ✓')
  expect(table).toContain('- (a) rascal, round 1: 3 of 9 missing')
  expect(table).toContain('a processor, 2 cores')
})

test('the chart has a bar for each contender and marks ours', () => {
  const chart = renderChart([result])
  expect(chart.match(/<rect class="bar/g)).toHaveLength(3)
  expect(chart.match(/class="bar waybill"/g)).toHaveLength(1)
  expect(chart).toMatch(/^<svg .*<\/svg>\n$/s)
})

test.each([
  [0.1234, '0.12'],
  [12.34, '12.3'],
  [123.4, '123'],
  [12_345, '12,300'],
  [Number.NaN, '–'],
])('%s is read as %s', (value, text) => {
  expect(figure(value)).toBe(text)
})
