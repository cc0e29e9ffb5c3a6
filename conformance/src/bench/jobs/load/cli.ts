/** Jobs under load while their workers are killed, by hand: 100,000 take some minutes. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startBroker } from '../../brokers/index.ts'
import { bundleInto } from '../../programs/program.ts'
import { chooseSeed } from '../../programs/random.ts'
import { runLoad } from './run-load.ts'

const usage = `Usage: npm run load:jobs -- [--store postgres|redis] [--broker redis|none] [--jobs N] [--seed N] [--minutes N]

Adds jobs, one of a hundred of which fails, while three workers are killed at random moments. Every other job
has its effect once, and the counts add up at every look; otherwise the command fails.

  --store NAME   where the jobs are kept. Default: postgres
  --broker NAME  what hands them out; none: workers take them from the store. Default: none
  --jobs N       default: 100000
  --seed N       which jobs fail, and when which worker is killed. Default: a new one
  --minutes N    how long it may take. Default: 60
`
const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'postgres' },
    broker: { type: 'string', default: 'none' },
    jobs: { type: 'string', default: '100000' },
    seed: { type: 'string' },
    minutes: { type: 'string', default: '60' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(usage)
  process.exit()
}
const seed = values.seed === undefined ? chooseSeed() : Number(values.seed)
const kind = values.store === 'redis' ? 'redis' : 'postgres'
const name = `load_${Date.now().toString(36)}`
await using redis = await startBroker('redis')
await using postgres = await startBroker('postgres')
const folder = await mkdtemp(join(tmpdir(), 'waybill-load-'))
try {
  const program = await bundleInto(folder, new URL('load-program.ts', import.meta.url).href)
  console.log(`${values.jobs} jobs in ${kind}, seed ${seed}`)
  const { kills, looks, lost, seconds } = await runLoad({
    program,
    store: { kind, name, url: { postgres, redis }[kind].url },
    broker: values.broker === 'redis' ? redis.url : null,
    jobs: Number(values.jobs),
    seed,
    handleMs: 0,
    killEveryMs: 10_000,
    timeoutMs: Number(values.minutes) * 60_000,
    report: console.log,
  })
  console.log(
    `Each had its effect once. ${kills} kills, ${lost} attempts lost with them, ${looks} looks at the counts, ${Math.round(seconds)} s.`,
  )
} finally {
  await rm(folder, { recursive: true })
}
