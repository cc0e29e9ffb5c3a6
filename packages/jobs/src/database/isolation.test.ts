import { postgres } from '@waybill/postgres'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'
import { until } from '../stores.fixture.ts'
import { databaseJobStore } from './database-job-store.ts'

const { TEST_POSTGRES: url } = process.env

test.skipIf(url === undefined)(
  'a global limit holds whatever isolation transactions have by default',
  async () => {
    const stricter = new URL(url ?? '')
    stricter.searchParams.set('options', '-c default_transaction_isolation=repeatable\\ read')
    const schema = `isolation_${Date.now().toString(36)}`
    await using closers = new AsyncDisposableStack()
    let [running, most, done] = [0, 0, 0]
    // Each takes other jobs of the queue, so that the jobs themselves do not tell that one was faster.
    for (const name of ['a', 'b', 'c']) {
      const database = closers.use(postgres({ url: stricter.href, schema }))
      await database.migrate()
      const jobs = closers.use(openJobs({ store: databaseJobStore(database), poll: 50 }))
      const Limited = defineJob(name, { queue: 'limited', input: z.number(), globalConcurrency: 2 })
      const worker = jobs.worker().handle(Limited, async () => {
        running += 1
        most = Math.max(most, running)
        await new Promise((resolve) => setTimeout(resolve, 10))
        running -= 1
        done += 1
      })
      await worker.start()
      await jobs.addBulk(
        Limited,
        Array.from({ length: 40 }, (_, data) => ({ data })),
      )
    }
    await until(() => done === 120)
    expect(most).toBe(2)
  },
)
