// Runs jobs, or lets a schedule run, until it is killed.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bus, connect } from '@waybill/core'
import { openJobs } from '@waybill/jobs'
import { z } from 'zod'
import { bridgeEnd } from '../bridge/ends.ts'
import { effectsOf, openStore } from './servers.ts'
import { Tick, taskOf } from './tasks.ts'

const end = z.object({
  name: z.enum(['kafka', 'rabbitmq', 'redis', 'sqs']),
  url: z.string(),
  native: z.record(z.string(), z.unknown()),
})
const settings = z
  .object({
    store: z.object({ kind: z.enum(['postgres', 'redis']), url: z.string(), name: z.string() }),
    /** Queues, and the brokers that they go over; null: workers take their jobs from the store. */
    queues: z.record(z.string(), end.nullable()),
    /** Of the only job in the schedule `ticks`. */
    everyMs: z.number().optional(),
  })
  .parse(JSON.parse(process.argv[2] ?? 'null'))

const buses: Record<string, Bus> = {}
for (const [queue, place] of Object.entries(settings.queues)) {
  if (place === null) continue
  const { adapter, url, native } = bridgeEnd(place)
  buses[queue] = await connect({
    url,
    ...(adapter && { adapter }),
    native: native ?? {},
    console: false,
    timeout: 'forever',
  })
}
const { store, database } = openStore(settings.store)
const jobs = openJobs({
  buses,
  store,
  poll: '250ms',
  // What a killed worker was given by its broker, and had not begun.
  resendAfter: '3s',
  onFailure: (what, error) => console.error(what, error.message),
})

if (settings.everyMs !== undefined)
  await jobs.schedules.upsert('ticks', { every: settings.everyMs, missed: 'all' }, Tick, {})
else {
  const worker = jobs.worker({ lease: '1s', concurrency: 4 })
  for (const queue of Object.keys(settings.queues)) {
    worker.handle(taskOf(queue), async ({ id, data }, { attempt, children, completeIn }) => {
      if (data.kind === 'hang' && attempt === 1) await new Promise(() => {})
      await sleep(data.ms)
      const result = { attempt, children: (await children()).map((child) => `${child.id} ${child.state}`) }
      await database?.transaction(async (transaction) => {
        await transaction.query(`INSERT INTO ${effectsOf(database)} (job) VALUES ($1)`, [id])
        await completeIn(transaction, result)
      })
      return result
    })
  }
  await worker.start()
}
process.stdout.write('ready\n')
