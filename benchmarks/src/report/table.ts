import type { Broker } from '../contender.ts'
import { brokers } from '../contender.ts'
import { type ContenderResult, medianOf, readingsOf, type WorkResult } from '../results.ts'
import { median } from '../statistics.ts'
import { type Read, targets } from '../targets.ts'
import type { Metric } from '../work.ts'
import { workOf } from '../works/index.ts'
import { figure, titleOf } from './figure.ts'

/** All results in Markdown: a section a broker, a row a metric, a column a contender, and how the targets fare. */
export function renderTable(results: readonly WorkResult[]): string {
  const sections = brokers.flatMap((broker) => {
    const ofBroker = results.filter((result) => result.broker === broker)
    return ofBroker.length === 0 ? [] : [section(broker, ofBroker)]
  })
  return `${sections.join('\n')}\n${machines(results)}`
}

function section(broker: Broker, results: readonly WorkResult[]): string {
  const names = [
    ...new Set(results.flatMap(({ contenders }) => contenders.map(({ contender }) => contender))),
  ]
  const rows = results.flatMap((result) =>
    workOf(result.letter).metrics.map((metric) => row(broker, result, metric, names, results)),
  )
  const guarantees = names.map((name) => {
    const found = results.flatMap(({ contenders }) => contenders).find(({ contender }) => contender === name)
    return `- **${titleOf(name)}**: ${found?.guarantees}`
  })
  return [
    `### ${titleOf(broker)}`,
    '',
    `| | ${names.map(titleOf).join(' | ')} | of plain | of tuned | target |`,
    `| --- |${' ---: |'.repeat(names.length + 2)} --- |`,
    ...rows,
    '',
    ...guarantees,
    '',
    ...problems(results),
  ].join('\n')
}

function row(
  broker: Broker,
  result: WorkResult,
  metric: Metric,
  names: readonly string[],
  results: readonly WorkResult[],
): string {
  const find = (name: string) => result.contenders.find(({ contender }) => contender === name)
  const cells = names.map((name) => cell(find(name), metric.name))
  const waybill = find('waybill')
  const ratioTo = (name: string) => ratio(waybill, find(name), metric.name)
  const ratios = ['plain', 'tuned'].map((name) => figure(ratioTo(name)))
  const read: Read = (name, reading, letter = result.letter) => {
    const from = results.find((each) => each.letter === letter)?.contenders
    return medianOf(
      from?.find(({ contender }) => contender === name),
      reading,
    )
  }
  const verdicts = targets
    .filter(
      (each) => each.brokers.includes(broker) && each.letter === result.letter && each.metric === metric.name,
    )
    .map(({ text, margin }) => `${text} ${mark(margin(read, ratioTo))}`.trim())
  return `| (${result.letter}) ${metric.title}, ${metric.unit} | ${[...cells, ...ratios].join(' | ')} | ${verdicts.join(', ')} |`
}

function mark(margin: number): string {
  if (Number.isNaN(margin)) return ''
  return margin >= 0 ? '✓' : '✗'
}

/** The median, and by how much the rounds differ. */
function cell(result: ContenderResult | undefined, metric: string): string {
  if (result === undefined) return ''
  const readings = readingsOf(result, metric)
  if (readings.length === 0) return 'failed'
  const middle = median(readings)
  const spread = (Math.max(...readings) - Math.min(...readings)) / 2 / middle
  return readings.length === 1 ? figure(middle) : `${figure(middle)} ±${Math.round(spread * 100)} %`
}

/** The median of the ratios within each round: what slows the machine for a while slows both. */
function ratio(
  ours: ContenderResult | undefined,
  other: ContenderResult | undefined,
  metric: string,
): number {
  const ratios = (ours?.rounds ?? []).flatMap((round, index) => {
    const against = other?.rounds[index]
    if (round.problem !== undefined || against?.problem !== undefined) return []
    return [(round.readings[metric] ?? Number.NaN) / (against?.readings[metric] ?? Number.NaN)]
  })
  return median(ratios)
}

function problems(results: readonly WorkResult[]): string[] {
  const lines = results.flatMap(({ letter, contenders }) =>
    contenders.flatMap(({ contender, rounds }) =>
      rounds.flatMap(({ problem }, index) =>
        problem === undefined ? [] : [`- (${letter}) ${titleOf(contender)}, round ${index + 1}: ${problem}`],
      ),
    ),
  )
  return lines.length === 0 ? [] : ['Rounds that do not count:', '', ...lines, '']
}

function machines(results: readonly WorkResult[]): string {
  const works = new Map<string, string[]>()
  for (const { broker, letter, machine, contenders, takenAt } of results) {
    const clients = Object.entries(machine.clients).map(([name, version]) => `${name} ${version}`)
    const rounds = contenders[0]?.rounds.length ?? 0
    const how = `taken on ${takenAt.slice(0, 10)} in ${rounds} ${rounds === 1 ? 'round' : 'rounds'}: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}; ${clients.join(', ')}. Broker and clients share the machine.`
    works.set(how, [...(works.get(how) ?? []), `${titleOf(broker)} (${letter})`])
  }
  return `${[...works].map(([how, which]) => `${which.join(', ')}: ${how}`).join('\n\n')}\n`
}
