import { parseArgs } from 'node:util'
import { z } from 'zod'
import { siblingModule } from '../children/sibling-module.ts'
import { type CaseResult, countOf, type Report, summaryLine } from '../suite/report.ts'
import { type RunOptions, runConformance } from '../suite/run-conformance.ts'
import { runMatrix } from './matrix.ts'
import { runMutants } from './mutants/run-mutants.ts'
import type { OpenHarness } from './open-harness.ts'
import { saveReport } from './saved-reports.ts'

const usage = `Usage: npm run conformance -- NAME... [options]
       npm run conformance -- --mutants [MUTANT...]
       npm run conformance -- --matrix [--check]

Runs the contract on each of the drivers NAME (memory, rabbitmq, kafka, sqs, redis), or on them in other surroundings
(elasticmq, valkey, redis-cluster). rabbitmq-own, kafka-own, sqs-own, elasticmq-own, redis-own and valkey-own show what
adapters promise beyond it; rabbitmq-cli, kafka-cli, sqs-cli and redis-cli what the command line does there; postgres-own what
inbox, outbox and relay do on PostgreSQL, over RabbitMQ and Kafka, in processes that are killed (WAYBILL_KILLS: how many;
WAYBILL_SEED: to repeat a run). telemetry-own shows a trace over three brokers in an OpenTelemetry Collector, and metrics
and alerts in a Prometheus.
bridge-own shows bridges between all brokers, killed likewise, and the checkout that moves from one to another.
jobs-own shows jobs over all brokers, kept in PostgreSQL and in Redis, with workers and schedulers that are killed.

  --only 34,52a,60-66   numbers, ids and ranges of cases
  --repeat N            each driver N times; stops at the first failure
  --parallel N          cases at once (default: what the driver's harness says, else 4)
  --verbose             prints passed cases too
  --mutants             checks that every case on memory catches its mutants
  --matrix              writes docs/capability-matrix.md and .json from the results of past runs
  --check               with --matrix: fails when they are not current, and writes nothing
  --help
`

const harnessModuleSchema = z.object({
  open: z.custom<() => Promise<OpenHarness>>((value) => typeof value === 'function'),
})

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    repeat: { type: 'string', default: '1' },
    parallel: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    matrix: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function print(result: CaseResult): void {
  const line = `${result.id.padStart(4)} ${result.title}`
  if (result.status === 'failed') console.log(`  failed  ${line}\n${indent(result.reason ?? '')}`)
  else if (result.status === 'skipped') console.log(`  skipped ${line} (${result.reason})`)
  else if (values.verbose) console.log(`  passed  ${line} (${result.durationMs} ms)`)
}

function indent(text: string): string {
  return text.replace(/^/gm, '            ')
}

/** One run, on a broker of its own: none finds what an earlier one has left. */
async function runOnce(name: string, round: number): Promise<boolean> {
  const module = harnessModuleSchema.parse(await import(siblingModule(import.meta.url, `harnesses/${name}`)))
  const { harness, sections, close } = await module.open()
  const options: RunOptions = {
    ...(sections !== undefined && { sections }),
    only: values.only.split(',').filter((part) => part !== ''),
    ...(values.parallel !== undefined && { parallel: Number(values.parallel) }),
    onResult: print,
  }
  try {
    const startedAt = performance.now()
    const report: Report = await runConformance(harness, options)
    if (values.only === '' && sections === undefined) await saveReport(report)
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    console.log(`${summaryLine(report)} (${seconds} s${Number(values.repeat) > 1 ? `, run ${round}` : ''})`)
    if (report.results.length === 0) console.error(`No case matches --only ${values.only}`)
    return report.results.length > 0 && countOf(report, 'failed') === 0
  } finally {
    await close()
  }
}

async function runDriver(name: string): Promise<boolean> {
  for (let round = 1; round <= Number(values.repeat); round += 1) {
    if (!(await runOnce(name, round))) return false
  }
  return true
}

async function main(): Promise<boolean> {
  if (values.help) {
    console.log(usage)
    return true
  }
  if (values.mutants) {
    const isCaught = await runMutants(positionals)
    // What is broken on purpose leaves timers and loops behind.
    process.exit(isCaught ? 0 : 1)
  }
  if (values.matrix) return runMatrix({ check: values.check })
  if (positionals.length === 0) {
    console.error(usage)
    return false
  }
  let isGreen = true
  for (const name of positionals) isGreen = (await runDriver(name)) && isGreen
  return isGreen
}

try {
  if (!(await main())) process.exitCode = 1
} catch (error) {
  console.error(error)
  process.exitCode = 1
}
