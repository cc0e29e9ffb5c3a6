import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startBroker, stopEngine } from '../../conformance/src/bench/brokers/index.ts'
import type { Broker } from './contender.ts'
import { loadContender, ours, peers } from './load-contender.ts'
import { type Options, parseOptions, UsageError, usage } from './options.ts'
import { renderChart } from './report/chart.ts'
import { renderTable } from './report/table.ts'
import { loadResults, saveResult } from './results.ts'
import { runRounds } from './rounds.ts'
import { workOf } from './works/index.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const peersFolder = fileURLToPath(new URL('../peers', import.meta.url))

/** What is published is what is measured. */
function build(): void {
  execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'inherit' })
}

function installPeers(): void {
  if (existsSync(join(peersFolder, 'node_modules'))) return
  execFileSync('npm', ['ci'], { cwd: peersFolder, stdio: 'inherit' })
}

async function contendersOf(broker: Broker, letter: string, options: Options): Promise<string[]> {
  const all = [...ours[broker], ...(options.peers ? peers[broker] : [])]
  const named = options.contenders ?? all
  const chosen = [...ours[broker], ...peers[broker]].filter((name) => named.includes(name))
  const loaded = await Promise.all(
    chosen.map(async (name) => ({ name, works: (await loadContender(broker, name)).works })),
  )
  return loaded.flatMap(({ name, works }) => (works.includes(letter) ? [name] : []))
}

async function runBroker(name: Broker, options: Options): Promise<boolean> {
  const usual = { rabbitmq: 100_000, kafka: 200_000, redis: 200_000, sqs: 20_000 }[name]
  const { seconds, messages = usual, backlog, rounds, profiles, source } = options
  let sound = true
  await using broker = await startBroker(name)
  for (const letter of options.works) {
    // A million messages are a matter of hours where a request carries ten.
    if (letter === 'e' && name === 'sqs') continue
    const contenders = await contendersOf(name, letter, options)
    if (contenders.length === 0) continue
    const scale = { seconds, messages, backlog }
    const result = await runRounds(name, broker, workOf(letter), contenders, {
      scale,
      rounds,
      profiles,
      source,
      report: (line) => console.error(line),
    })
    await saveResult(options.output, result)
    sound &&= result.contenders.every(
      ({ contender, rounds: all }) =>
        peers[name].includes(contender) || all.every(({ problem }) => problem === undefined),
    )
  }
  return sound
}

async function main(options: Options): Promise<boolean> {
  let sound = true
  if (!options.reportOnly) {
    if (!options.source) build()
    const wanted = options.contenders ?? []
    if (options.peers || Object.values(peers).some((names) => names.some((name) => wanted.includes(name)))) {
      installPeers()
    }
    try {
      for (const broker of options.brokers) sound = (await runBroker(broker, options)) && sound
    } finally {
      await stopEngine()
    }
  }
  const results = await loadResults(options.output)
  const table = renderTable(results)
  await writeFile(join(options.output, 'table.md'), table)
  await writeFile(join(options.output, 'chart.svg'), renderChart(results))
  console.log(table)
  return sound
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === 'help') console.log(usage)
  else process.exitCode = (await main(options)) ? 0 : 1
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`${error.message}\n\n${usage}`)
  process.exitCode = 2
}
