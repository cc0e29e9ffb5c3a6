import { randomBytes } from 'node:crypto'
import type { RunningBroker } from '../../conformance/src/bench/brokers/index.ts'
import type { Broker } from './contender.ts'
import { loadContender } from './load-contender.ts'
import { describeMachine, load } from './machine.ts'
import { type MeasureOptions, measure } from './measure.ts'
import type { ContenderResult, Round, WorkResult } from './results.ts'
import { wipe } from './wipe.ts'
import type { Work } from './work.ts'

export interface RoundsOptions extends MeasureOptions {
  readonly rounds: number
  readonly report: (line: string) => void
}

/** A work on a broker: in each round every contender once, each round beginning with another one. */
export async function runRounds(
  name: Broker,
  broker: RunningBroker,
  work: Work,
  contenders: readonly string[],
  options: RoundsOptions,
): Promise<WorkResult> {
  const results = await Promise.all(
    contenders.map(async (contender): Promise<ContenderResult & { rounds: Round[] }> => {
      const { guarantees } = await loadContender(name, contender)
      return { contender, guarantees, rounds: [] }
    }),
  )
  for (let round = 0; round < options.rounds; round += 1) {
    for (const place of results.keys()) {
      const turn = results[(round + place) % results.length]
      if (turn === undefined) continue
      const before = load()
      const destination = {
        broker: name,
        url: broker.url,
        name: `benchmark-${work.letter}-${randomBytes(4).toString('hex')}`,
        ordered: work.ordered,
      }
      const { readings, problem } = await measure(work, turn.contender, destination, options)
      turn.rounds.push({ readings, problem, load: before })
      const figures = work.metrics.map(
        (metric) => `${metric.title} ${format(readings[metric.name])} ${metric.unit}`,
      )
      options.report(
        `(${work.letter}) ${name} round ${round + 1} ${turn.contender}: ${problem ?? figures.join(', ')}`,
      )
      await wipe(name, broker)
    }
  }
  return {
    broker: name,
    letter: work.letter,
    takenAt: new Date().toISOString(),
    machine: describeMachine(),
    scale: options.scale,
    contenders: results,
  }
}

function format(reading: number | undefined): string {
  return reading === undefined ? '–' : reading.toFixed(reading < 100 ? 2 : 0)
}
