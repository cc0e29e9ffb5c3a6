import { type Duration, MessagingError } from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { JobDefinition } from './definition.ts'
import { hasEnded, type JobSnapshot } from './job.ts'
import { JobFailed } from './job-failed.ts'
import { validated } from './validated.ts'
import type { JobEvent } from './watching/watching.ts'

/** What a handle needs of its jobs. */
export interface HandleHost {
  get(id: string): Promise<JobSnapshot | undefined>
  watch(id: string, signal?: AbortSignal): AsyncGenerator<JobEvent>
  cancel(id: string): Promise<boolean>
}

const resultSchema = z.strictObject({
  timeout: durationOption().optional(),
  signal: z.instanceof(AbortSignal).optional(),
})

/** One job, by its id. Made by `jobs.add` and `jobs.job`. */
export class Job<Output = unknown, Progress = unknown> {
  readonly id: string
  /** False: `add` found a job of the same id or key, which this is. */
  readonly isNew: boolean
  readonly #host: HandleHost
  readonly #definition: JobDefinition

  /** @internal Made by `jobs.add` and `jobs.job`; the parameters may change in any version. */
  constructor(host: HandleHost, definition: JobDefinition, id: string, isNew: boolean) {
    this.#host = host
    this.#definition = definition
    this.id = id
    this.isNew = isNew
  }

  /**
   * The job as it is now; undefined if there is none, or no longer.
   *
   * ```ts
   * const { state, progress } = (await job.get()) ?? {}
   * ```
   */
  get(): Promise<JobSnapshot<Output, Progress> | undefined>
  get(): Promise<JobSnapshot | undefined> {
    return this.#host.get(this.id)
  }

  /**
   * Resolves with what its handler returned, whichever process it runs in.
   *
   * ```ts
   * const { url } = await job.result({ timeout: '1m' })
   * ```
   *
   * @throws {JobFailed} when it has failed, or was cancelled.
   * @throws {MessagingError} `timeout` when it has not ended within the timeout (none by default), which changes nothing for the
   * job; `aborted`; `topology-missing` when there is no such job.
   */
  result(options?: { readonly timeout?: Duration; readonly signal?: AbortSignal }): Promise<Output>
  async result(
    options: { readonly timeout?: Duration; readonly signal?: AbortSignal } = {},
  ): Promise<unknown> {
    const { timeout, signal } = parseOptions(resultSchema, options, 'result options')
    const limit = timeout === undefined ? undefined : AbortSignal.timeout(timeout)
    const signals = [limit, signal].filter((each) => each !== undefined)
    const job = await this.#end(AbortSignal.any(signals))
    const name = `${this.#definition.name} ${this.id}`
    if (job?.state === 'completed')
      return await validated(this.#definition.output, job.output, `output of job ${this.id}`)
    if (job !== undefined && hasEnded(job.state)) throw new JobFailed(name, job)
    if (signal?.aborted === true) throw new MessagingError('aborted', `The wait for job ${name} was given up`)
    if (limit?.aborted === true) {
      const what = `The job ${name} has not ended within ${timeout} ms`
      throw new MessagingError('timeout', `${what}; it goes on`, { retryable: true })
    }
    if (job === undefined)
      throw new MessagingError('topology-missing', `There is no job ${name}, or no longer`)
    throw new MessagingError('closed', `The jobs were closed before ${name} ended`)
  }

  /**
   * The job as it is, and after each change, until it ends.
   *
   * ```ts
   * for await (const { job: { state, progress } } of job.watch()) console.log(state, progress)
   * ```
   */
  watch(options?: { readonly signal?: AbortSignal }): AsyncGenerator<JobEvent<Output, Progress>>
  watch({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<JobEvent> {
    return this.#host.watch(this.id, signal)
  }

  /**
   * As `jobs.cancel`.
   *
   * ```ts
   * await job.cancel()
   * ```
   */
  cancel(): Promise<boolean> {
    return this.#host.cancel(this.id)
  }

  async #end(signal: AbortSignal): Promise<JobSnapshot | undefined> {
    let last: JobSnapshot | undefined
    for await (const { job } of this.#host.watch(this.id, signal)) last = job
    return last
  }
}
