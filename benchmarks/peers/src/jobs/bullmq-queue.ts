import type { BenchmarkEvent } from '../../../src/event.ts'
import type { JobQueue } from '../../../src/jobs/job-contender.ts'

interface Part {
  on(event: 'error', listener: (error: Error) => void): unknown
  waitUntilReady(): Promise<unknown>
  close(): Promise<void>
}

/** What is used of a queue, whatever its backend. */
interface Queue extends Part {
  add(name: string, data: BenchmarkEvent): Promise<unknown>
  addBulk(jobs: { name: string; data: BenchmarkEvent }[]): Promise<unknown>
  getJobCounts(
    ...types: ('waiting' | 'active' | 'delayed' | 'prioritized')[]
  ): Promise<Record<string, number>>
}

type Handle = (data: BenchmarkEvent) => void

/** BullMQ with everything at its defaults, over either backend. */
export async function bullmqQueue(
  queue: Queue,
  workerOf: (handle: Handle, concurrency: number) => Part,
): Promise<JobQueue> {
  queue.on('error', console.error)
  await queue.waitUntilReady()
  return {
    add: (data) => queue.add('bench', data),
    addBulk: (all) => queue.addBulk(all.map((data) => ({ name: 'bench', data }))),
    async work(handle, concurrency) {
      const worker = workerOf(handle, concurrency)
      worker.on('error', console.error)
      await worker.waitUntilReady()
      return () => worker.close()
    },
    async unended() {
      const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized')
      return Object.values(counts).reduce((sum, count) => sum + count, 0)
    },
    teardown: () => queue.close(),
  }
}
