import { connect } from '@waybill/core'
import { defineJob, type JobsOptions, openJobs } from '@waybill/jobs'
import { eventSchema } from '../../event-schema.ts'
import type { JobQueue } from '../job-contender.ts'

/** Waybill with everything at its defaults, over any store and broker; without one workers take jobs from the store. */
export async function waybillQueue(
  busUrl: string | undefined,
  store: JobsOptions['store'],
  name: string,
): Promise<JobQueue> {
  const Benchmark = defineJob(name, { input: eventSchema })
  const topics = [Benchmark.message.topic]
  const bus = busUrl === undefined ? undefined : await connect({ url: busUrl, topics, console: false })
  const jobs = openJobs({
    ...(bus !== undefined && { bus }),
    store,
    onFailure: (what, error) => console.error(what, error),
  })
  return {
    add: (data) => jobs.add(Benchmark, data),
    addBulk: (all) =>
      jobs.addBulk(
        Benchmark,
        all.map((data) => ({ data })),
      ),
    async work(handle, concurrency) {
      const worker = jobs.worker({ concurrency }).handle(Benchmark, ({ data }) => handle(data))
      await worker.start()
      return () => worker.stop()
    },
    async unended() {
      const { waiting, active, delayed } = await jobs.counts({ name })
      return waiting + active + delayed
    },
    async teardown() {
      await jobs.close()
      await bus?.close()
    },
  }
}
