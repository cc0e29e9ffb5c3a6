import type { BenchmarkEvent } from '../../../src/event.ts'
import type { JobContender } from '../../../src/jobs/job-contender.ts'
import { bullmqQueue } from './bullmq-queue.ts'

export const contender: JobContender = {
  guarantees: 'Jobs in Redis, moved by scripts; a lock that is renewed; result and events kept.',

  async setup({ redis }) {
    const { Queue, Worker } = await import('bullmq')
    const { hostname: host, port } = new URL(redis)
    const connection = { host, port: Number(port), maxRetriesPerRequest: null }
    return await bullmqQueue(
      new Queue<BenchmarkEvent>('bench', { connection }),
      (handle, concurrency) =>
        new Worker<BenchmarkEvent>('bench', async ({ data }) => handle(data), { connection, concurrency }),
    )
  },
}
