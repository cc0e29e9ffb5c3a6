/**
 * Job queues beside each other on the same servers in the same run, in turns: adds and completions a second with few and with many
 * waiting jobs, as ratios to a peer.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startBroker } from '../../../conformance/src/bench/brokers/index.ts'
import { contenders, type JobDestination } from './job-contender.ts'
import { table } from './report.ts'
import { runJobRounds } from './rounds.ts'

const usage = `Usage: npm run bench:jobs -- [--rounds N] [--jobs N] [--waiting N,…] [--contenders NAMES]

  --rounds N          every contender in each round, in turns; default: 5
  --jobs N            added singly, and as many in bulk, a turn; default: 10000
  --waiting N,…       how many jobs wait besides; default: 0,100000
  --contenders NAMES  of ${Object.values(contenders).flat().join(', ')}; default: all
  --profile FOLDER    have V8 write a CPU profile of each process there
  --help
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    jobs: { type: 'string', default: '10000' },
    waiting: { type: 'string', default: '0,100000' },
    contenders: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

function installPeers(): void {
  const cwd = fileURLToPath(new URL('../../peers', import.meta.url))
  if (!existsSync(`${cwd}/node_modules/pg-boss`)) execFileSync('npm', ['ci'], { cwd, stdio: 'inherit' })
}

async function main(): Promise<boolean> {
  installPeers()
  const named = values.contenders?.split(',')
  await using postgres = await startBroker('postgres')
  await using redis = await startBroker('redis')
  const destination: JobDestination = { postgres: postgres.url, redis: redis.url }
  let sound = true
  for (const waiting of values.waiting.split(',').map(Number)) {
    for (const names of Object.values(contenders)) {
      const chosen = names.filter((name) => named === undefined || named.includes(name))
      const results = await runJobRounds(chosen, destination, {
        rounds: Number(values.rounds),
        scale: { jobs: Number(values.jobs), waiting },
        profiles: values.profile,
        report: (line) => console.error(line),
      })
      console.log(table(waiting, results))
      sound &&= results.every(({ turns }) => turns.every(({ problem }) => problem === undefined))
    }
  }
  return sound
}

if (values.help) console.log(usage)
else process.exitCode = (await main()) ? 0 : 1
