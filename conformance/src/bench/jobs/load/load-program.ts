// Handles the jobs of a load until it is killed.
import { setTimeout as sleep } from 'node:timers/promises'
import { adapter } from '@waybill/adapter-redis'
import { connect, PermanentError } from '@waybill/core'
import { openJobs } from '@waybill/jobs'
import { z } from 'zod'
import { openStore } from '../servers.ts'
import { effectsIn } from './effects.ts'
import { Load } from './load-job.ts'

const {
  store: place,
  broker,
  handleMs,
} = z
  .object({
    store: z.object({ kind: z.enum(['postgres', 'redis']), url: z.string(), name: z.string() }),
    broker: z.string().nullable(),
    handleMs: z.number(),
  })
  .parse(JSON.parse(process.argv[2] ?? 'null'))

const bus =
  broker === null ? undefined : await connect({ url: broker, adapter, console: false, timeout: 'forever' })
const opened = openStore(place)
const effects = effectsIn(place, opened)
const jobs = openJobs({
  ...(bus && { bus }),
  store: opened.store,
  // What a killed worker was given by its broker, and had not begun.
  resendAfter: '10s',
  onFailure: (what, error) => console.error(what, error.message),
})
const worker = jobs
  .worker({ lease: '5s', concurrency: 50 })
  .handle(Load, async ({ data }, { completeIn }) => {
    await sleep(handleMs)
    if (data.fails) throw new PermanentError('it is one of those that fail')
    await effects.write(data.n, completeIn)
  })
await worker.start()
process.stdout.write('ready\n')
