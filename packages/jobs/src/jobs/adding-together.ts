import { MessagingError, toError } from '@waybill/core/driver'
import { inChunks } from '@waybill/core/driver-kit'
import { answeredBatches } from '../batching/answered-batches.ts'
import type { AddedJob } from '../book/adding.ts'
import type { JobBook } from '../book/job-book.ts'
import type { NewJob } from '../book/new-job.ts'

const batchSize = 500

// What one statement carries: more takes longer than it saves.
const mostCharacters = 4_000_000

/** Adds jobs of callers that come at once in one transaction. What is wrong with one job concerns its caller alone. */
export function addingTogether(book: JobBook): (job: NewJob) => Promise<AddedJob> {
  const add = answeredBatches(async (jobs: readonly NewJob[]) => {
    const chunks = inChunks(jobs, {
      maxBytes: mostCharacters,
      bytesOf: ({ data = '' }) => data.length,
    })
    const answers: (AddedJob | Error)[] = []
    for (const chunk of chunks) answers.push(...(await addChunk(book, chunk)))
    return answers
  }, batchSize)
  return async (job) => {
    const added = await add(job)
    if (added instanceof Error) throw added
    return added
  }
}

async function addChunk(book: JobBook, jobs: readonly NewJob[]): Promise<readonly (AddedJob | Error)[]> {
  try {
    return await book.addEach(jobs)
  } catch (error) {
    const failure = toError(error)
    // What the store cannot take of one must not fail the others.
    const isOfStore = MessagingError.is(failure) && failure.retryable
    if (jobs.length === 1 || isOfStore) return jobs.map(() => failure)
    const answers: (AddedJob | Error)[] = []
    for (const job of jobs) answers.push(...(await addChunk(book, [job])))
    return answers
  }
}
