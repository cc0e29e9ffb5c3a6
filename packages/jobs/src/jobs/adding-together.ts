import { answeredBatches } from '../batching/answered-batches.ts'
import type { AddedJob } from '../book/adding.ts'
import type { JobBook } from '../book/job-book.ts'
import type { NewJob } from '../book/new-job.ts'

const batchSize = 500

/** Adds jobs of callers that come at once in one transaction. What is wrong with one job concerns its caller alone. */
export function addingTogether(book: JobBook): (job: NewJob) => Promise<AddedJob> {
  const add = answeredBatches((jobs: readonly NewJob[]) => book.addEach(jobs), {
    maxItems: batchSize,
    lengthOf: ({ data = '' }) => data.length,
  })
  return async (job) => {
    const added = await add(job)
    if (added instanceof Error) throw added
    return added
  }
}
