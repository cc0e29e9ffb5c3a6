import { MessagingError } from '@waybill/core'
import type { JobError, JobSnapshot } from './job.ts'

/**
 * A job whose result was waited for has none: it failed, or was cancelled.
 *
 * ```ts
 * const report = await job.result().catch((error) => {
 *   if (error instanceof JobFailed && error.state === 'cancelled') return undefined
 *   throw error
 * })
 * ```
 */
export class JobFailed extends MessagingError {
  readonly state: 'failed' | 'cancelled'
  readonly job: JobSnapshot
  /** Of its last attempt. */
  readonly error: JobError | undefined

  constructor(name: string, job: JobSnapshot) {
    const { error } = job
    const why = error === undefined ? '' : `: ${error.name}: ${error.message}`
    const what = job.state === 'cancelled' ? 'was cancelled' : `failed after ${job.attempt} attempts${why}`
    super('failed', `The job ${name} ${what}`)
    this.state = job.state === 'cancelled' ? 'cancelled' : 'failed'
    this.job = job
    this.error = error
  }
}
