import type { BenchmarkEvent } from '../../../src/event.ts'
import type { JobContender } from '../../../src/jobs/job-contender.ts'

const queue = 'bench'
/** Jobs that a fetch brings: a fourth of what runs at once, so that four fetch while the others run. */
const shares = 4

export const contender: JobContender = {
  guarantees:
    'Jobs in PostgreSQL, fetched in batches without a pause as long as they are full, each settled by itself; expiry; result kept.',

  async setup({ postgres }) {
    const { PgBoss } = await import('pg-boss')
    const boss = new PgBoss({ connectionString: postgres })
    boss.on('error', console.error)
    await boss.start()
    if ((await boss.getQueue(queue)) === null) await boss.createQueue(queue)
    return {
      add: (data) => boss.send(queue, data),
      addBulk: (all) =>
        boss.insert(
          queue,
          all.map((data) => ({ data })),
          { returnId: true },
        ),
      async work(handle, concurrency) {
        const options = {
          localConcurrency: shares,
          batchSize: concurrency / shares,
          perJobResults: true,
          burstWhenBatchFull: true,
          pollingIntervalSeconds: 0.5,
        } as const
        await boss.work<BenchmarkEvent>(queue, options, async (jobs) =>
          jobs.map(({ id, data }) => {
            handle(data)
            return { id, status: 'completed' }
          }),
        )
        return () => boss.offWork(queue)
      },
      async unended() {
        const sql = `SELECT count(*)::int AS number FROM pgboss.job WHERE name = $1 AND state <= 'active'`
        const { rows } = await boss.getDb().executeSql(sql, [queue])
        return Number(rows[0]?.number)
      },
      teardown: () => boss.stop(),
    }
  },
}
