/** How late schedules are: many that run each second, under two processes. Ratios to the second, by hand. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { JobRow } from '@waybill/jobs'
import { startBroker } from '../../brokers/index.ts'
import { bundleInto, Program } from '../../programs/program.ts'
import { openStore } from '../servers.ts'
import { Tick } from '../tasks.ts'

const usage = `Usage: npm run lateness:jobs -- [--store postgres|redis] [--schedules N] [--seconds N]

Lets many schedules run each second under two processes. Prints how late their jobs are added, and handled, as a
share of the second; fails when a run is missing, or was made twice.

  --store NAME     where the jobs are kept; Redis hands them out. Default: postgres
  --schedules N    default: 100
  --seconds N      default: 30
`
const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'postgres' },
    schedules: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '30' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(usage)
  process.exit()
}
const kind = values.store === 'redis' ? 'redis' : 'postgres'
const schedules = Number(values.schedules)
const tickMs = 1000

/** Whose run it is of, and when that was due. */
function runOf({ id }: JobRow): { readonly schedule: string; readonly dueAt: number } {
  const [schedule = '', time = ''] = id.slice('schedule:'.length).split(/:(.*)/s)
  return { schedule, dueAt: new Date(time).getTime() }
}

function share(latenesses: readonly number[], part: number): string {
  const sorted = latenesses.toSorted((one, other) => one - other)
  return ((sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN) / tickMs).toFixed(3)
}

await using redis = await startBroker('redis')
await using postgres = await startBroker('postgres')
const place = {
  kind,
  name: `lateness_${Date.now().toString(36)}`,
  url: { postgres, redis }[kind].url,
} as const
await using opened = openStore(place)
await opened.database?.migrate()
const folder = await mkdtemp(join(tmpdir(), 'waybill-lateness-'))
try {
  const program = await bundleInto(folder, new URL('scheduler-program.ts', import.meta.url).href)
  const settings = { store: place, broker: redis.url, schedules }
  const both = [new Program(program, settings), new Program(program, settings)]
  await Promise.all(both.map((each) => each.ready))
  const from = Date.now() + 2 * tickMs
  const to = from + Number(values.seconds) * tickMs
  await sleep(to - Date.now() + 3 * tickMs)
  await Promise.all(both.map((each) => each.kill()))

  const rows = (await opened.store.list({ name: Tick.name }, 1_000_000)).filter((row) => {
    const { dueAt } = runOf(row)
    return dueAt >= from && dueAt < to
  })
  const runs = Map.groupBy(rows, (row) => runOf(row).schedule)
  assert.equal(runs.size, schedules)
  for (const [schedule, all] of runs) assert.equal(all.length, Number(values.seconds), schedule)
  const added = rows.map((row) => row.createdAt - runOf(row).dueAt)
  const begun = rows.flatMap((row) => {
    const [first] = row.details.history
    return first === undefined ? [] : [first.startedAt - runOf(row).dueAt]
  })
  console.log(
    `${schedules} schedules each second for ${values.seconds} s in ${kind}: ${rows.length} runs, each made once`,
  )
  for (const [what, all] of [
    ['added', added],
    ['begun', begun],
  ] as const)
    console.log(`${what} (${all.length}): median ${share(all, 0.5)}, 99 % ${share(all, 0.99)} of the second`)
} finally {
  await rm(folder, { recursive: true })
}
