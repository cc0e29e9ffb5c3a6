import { median } from '../statistics.ts'
import { type Reading, readings } from './job-contender.ts'
import type { JobTurn } from './measure.ts'
import type { JobResult } from './rounds.ts'

const titles: Readonly<Record<Reading, string>> = {
  add: 'add',
  addBulk: 'add in bulk',
  complete: 'complete',
}

/** Medians of the rounds; the ratios are medians of those within the rounds, to the first contender. */
export function table(waiting: number, results: readonly JobResult[]): string {
  const [first] = results
  if (first === undefined) return ''
  const head = ['', ...readings.flatMap((reading) => [`${titles[reading]}, a second`, 'of it', 'CPU µs'])]
  const rows = results.map(({ contender, turns }) => [
    contender,
    ...readings.flatMap((reading) => {
      const rates = turns.map((turn) => turn.rates[reading])
      return [
        median(rates.map(({ perSecond }) => perSecond)).toFixed(0),
        ratio(turns, first.turns, reading),
        median(rates.map(({ cpuMicroseconds }) => cpuMicroseconds)).toFixed(0),
      ]
    }),
  ])
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  const problems = results.flatMap(({ contender, turns }) =>
    turns.flatMap(({ problem }) => (problem === undefined ? [] : [`${contender}: ${problem}`])),
  )
  const title = `${waiting} waiting besides; "of it" is beside ${first.contender}`
  return [`\n${title}\n`, ...lines, ...problems].join('\n')
}

function ratio(turns: readonly JobTurn[], others: readonly JobTurn[], reading: Reading): string {
  const ratios = turns.map(
    (turn, index) => turn.rates[reading].perSecond / (others[index]?.rates[reading].perSecond ?? Number.NaN),
  )
  return median(ratios).toFixed(2)
}
