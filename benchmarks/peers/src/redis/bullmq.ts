import type { Contender } from '../../../src/contender.ts'
import type { BenchmarkEvent } from '../../../src/event.ts'

export const contender: Contender = {
  guarantees:
    'A job queue: each job is a hash and an entry of a list, moved by scripts, with a lock that is renewed; at least once, one group only. Done jobs are removed.',
  works: 'ab',

  async setup({ url, name }) {
    const { Queue, Worker } = await import('bullmq')
    const { hostname: host, port } = new URL(url)
    const connection = { host, port: Number(port), maxRetriesPerRequest: null }
    const queue = new Queue<BenchmarkEvent>(name, {
      connection,
      defaultJobOptions: { removeOnComplete: true },
    })
    await queue.waitUntilReady()
    return {
      async send(event) {
        await queue.add('benchmark.event', event)
      },
      async consume(handle, concurrency) {
        const worker = new Worker<BenchmarkEvent>(name, (job) => handle(job.data), {
          connection,
          concurrency,
        })
        worker.on('error', console.error)
        await worker.waitUntilReady()
        return () => worker.close()
      },
      async remaining() {
        const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized', 'failed')
        return Object.values(counts).reduce((sum, count) => sum + count, 0)
      },
      teardown: () => queue.close(),
    }
  },
}
