/** All of it: the checks, the example, the contract on every driver against real brokers, and the suite's own mutants. */
import { ensureEngine, stopEngine } from '../conformance/src/bench/brokers/index.ts'
import { check, type Outcome } from './check.ts'
import { command } from './command.ts'

const brokers = ['rabbitmq', 'kafka', 'sqs', 'redis']

const source = '--conditions=@waybill/source'
const suite = 'conformance/src/bench/cli.ts'
const conformance = (...args: string[]) => ['node', source, suite, ...args] as const

/** Each prints `NAME: N passed, N failed` once or more, or counts as one by its exit code. */
const steps: readonly { readonly title: string; readonly command: readonly [string, ...string[]] }[] = [
  { title: 'The example', command: ['node', source, 'examples/checkout/src/main.ts'] },
  ...['saga', 'cqrs', 'payments'].map((name) => ({
    title: `The example ${name}`,
    command: ['node', source, `examples/${name}/src/main.ts`] as const,
  })),
  { title: 'The contract on memory', command: conformance('memory') },
  ...brokers.flatMap((name) => [
    { title: `The contract on ${name}`, command: conformance(name) },
    { title: `What the adapter for ${name} promises beyond it`, command: conformance(`${name}-own`) },
    { title: `The command line on ${name}`, command: conformance(`${name}-cli`) },
  ]),
  {
    title: 'Inbox, outbox and relay on PostgreSQL, with killed processes',
    command: conformance('postgres-own'),
  },
  { title: 'Telemetry, in a collector and in Prometheus', command: conformance('telemetry-own') },
  {
    title: 'Bridges between all brokers, killed and cut off, and the checkout that moves',
    command: conformance('bridge-own'),
  },
  {
    title: 'Jobs over all brokers, in PostgreSQL and Redis, with killed processes',
    command: conformance('jobs-own'),
  },
  // The checks have built the packages.
  { title: 'The contract on memory, with the packages as published', command: ['node', suite, 'memory'] },
  { title: 'The mutants', command: conformance('--mutants') },
  { title: 'The capability matrix is current', command: conformance('--matrix', '--check') },
]

const summary = /^\S+: (?<passed>\d+) passed, (?<failed>\d+) failed/gm

/** A case that failed, with what was wrong in the deeper lines below it. */
const failedCase = /^ {2}failed .*(?:\n {3,}.*)*/gm

const lastLines = (output: string) => output.trimEnd().split('\n').slice(-20).join('\n')

async function run({ title, command: [program, ...args] }: (typeof steps)[number]): Promise<Outcome> {
  console.log(`\n── ${title}`)
  const { exitCode, output, seconds } = await command(program, args, true)
  const lines = [...output.matchAll(summary)]
  const sum = (name: string) => lines.reduce((total, { groups }) => total + Number(groups?.[name]), 0)
  console.log(`── ${exitCode === 0 ? 'ok' : 'FAILED'} (${Math.round(seconds)} s)`)
  // A run that ends badly without a failed case, such as a broker that did not start, is a failure all the same.
  const failed = Math.max(sum('failed'), exitCode === 0 ? 0 : 1)
  const cases = output.match(failedCase) ?? []
  const shown = cases.length === 0 ? lastLines(output) : cases.join('\n')
  return {
    passed: lines.length === 0 && failed === 0 ? 1 : sum('passed'),
    failed,
    failures: failed === 0 ? [] : [`${title}\n${shown}`],
  }
}

console.log('── The checks')
const results = [await check()]
try {
  await ensureEngine()
  for (const step of steps) results.push(await run(step))
} catch (error) {
  console.error(error)
  results.push({ passed: 0, failed: 1, failures: [String(error)] })
} finally {
  await stopEngine()
}
const passed = results.reduce((total, each) => total + each.passed, 0)
const failed = results.reduce((total, each) => total + each.failed, 0)
for (const failure of results.flatMap(({ failures }) => failures)) console.log(`\n── FAILED: ${failure}`)
console.log(`\n${passed} passed, ${failed} failed`)
// Nothing that was left behind by a test may keep the run from ending with its verdict.
process.exit(failed === 0 ? 0 : 1)
