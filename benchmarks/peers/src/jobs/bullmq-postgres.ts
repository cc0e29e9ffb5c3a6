import type { PostgresQueueBackend as Backend, PostgresConnectionOptions as Options } from 'bullmq'
import type { BenchmarkEvent } from '../../../src/event.ts'
import type { JobContender } from '../../../src/jobs/job-contender.ts'
import { bullmqQueue } from './bullmq-queue.ts'

export const contender: JobContender = {
  guarantees: 'As bullmq, with jobs in PostgreSQL, moved by functions there.',

  async setup({ postgres }) {
    const { Queue, Worker, createPostgresBackend, runMigrations } = await import('bullmq')
    const { default: pg } = await import('pg')
    const client = new pg.Client({ connectionString: postgres })
    await client.connect()
    await runMigrations(client)
    await client.end()
    const options = { connection: postgres }
    return await bullmqQueue(
      new Queue<BenchmarkEvent, void, string, BenchmarkEvent, void, string, Backend, Options>(
        'bench',
        options,
        createPostgresBackend,
      ),
      (handle, concurrency) =>
        new Worker<BenchmarkEvent, void, string, Backend, number, Options>(
          'bench',
          async ({ data }) => handle(data),
          { ...options, concurrency },
          createPostgresBackend,
        ),
    )
  },
}
