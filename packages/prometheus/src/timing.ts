import type { Bus, ErrorCode } from '@waybill/core'
import { errorType, type MeasuredJobs, type Recorder } from '@waybill/figures'

/** Times sends and handler calls. */
export function timeCalls(bus: Bus, recorder: Recorder): void {
  bus.use({
    send: ({ definition }, next) =>
      timed(next, (seconds, error) => recorder.sent(definition.topic.name, seconds, error)),
    handle: ({ topic, group, mode }, next) => {
      // A batch is timed as one.
      if (mode === 'batch') return next()
      recorder.consumed(topic, group)
      return timed(next, (seconds, error) => recorder.processed(topic, group, seconds, unlessSkipped(error)))
    },
    handleBatch: ({ topic, group, messages }, next) => {
      recorder.consumed(topic, group, messages.length)
      return timed(next, (seconds, error) => recorder.processed(topic, group, seconds, unlessSkipped(error)))
    },
  })
}

/** Counts jobs that are added, and times attempts. */
export function timeJobs(jobs: MeasuredJobs, recorder: Recorder): void {
  jobs.use({
    add: (addition, next) => timed(next, (_, error) => recorder.jobsAdded(addition, error)),
    handle: ({ name }, next) => timed(next, (seconds, error) => recorder.jobHandled(name, seconds, error)),
  })
}

/** A message that is skipped has not failed; there is no skipping of jobs. */
function unlessSkipped(error: string | undefined): string | undefined {
  return error === ('skip' satisfies ErrorCode) ? undefined : error
}

async function timed(
  next: () => Promise<void>,
  told: (seconds: number, error: string | undefined) => void,
): Promise<void> {
  const startedAt = performance.now()
  let error: string | undefined
  try {
    await next()
  } catch (thrown) {
    error = errorType(thrown)
    throw thrown
  } finally {
    told((performance.now() - startedAt) / 1000, error)
  }
}
