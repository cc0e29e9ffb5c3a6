// Lets many schedules run each second, and handles their jobs, until it is killed.
import { adapter } from '@waybill/adapter-redis'
import { connect } from '@waybill/core'
import { openJobs } from '@waybill/jobs'
import { z } from 'zod'
import { openStore } from '../servers.ts'
import { Tick } from '../tasks.ts'

const settings = z
  .object({
    store: z.object({ kind: z.enum(['postgres', 'redis']), url: z.string(), name: z.string() }),
    broker: z.string(),
    schedules: z.int(),
  })
  .parse(JSON.parse(process.argv[2] ?? 'null'))

const bus = await connect({ url: settings.broker, adapter, console: false })
const jobs = openJobs({
  bus,
  store: openStore(settings.store).store,
  onFailure: (what, error) => console.error(what, error.message),
})
const worker = jobs.worker({ concurrency: 50 }).handle(Tick, () => undefined)
await worker.start()
for (let n = 0; n < settings.schedules; n += 1)
  await jobs.schedules.upsert(`each-second-${n}`, { cron: '* * * * * *', missed: 'all' }, Tick, {})
process.stdout.write('ready\n')
