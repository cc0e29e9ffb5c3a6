import { connect } from '@waybill/core'
import { defineJob, type JobsOptions, openJobs } from '@waybill/jobs'
import { eventSchema } from '../../event-schema.ts'
import type { JobQueue } from '../job-contender.ts'

/** Waybill with everything at its defaults, over any store and broker. */
export async function waybillQueue(
  busUrl: string,
  store: JobsOptions['store'],
  name: string,
  options: Pick<JobsOptions, 'resendAfter'> = {},
): Promise<JobQueue> {
  const Benchmark = defineJob(name, { input: eventSchema })
  const bus = await connect({ url: busUrl, topics: [Benchmark.message.topic], console: false })
  const jobs = openJobs({ bus, store, ...options, onFailure: (what, error) => console.error(what, error) })
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
      await bus.close()
    },
  }
}
