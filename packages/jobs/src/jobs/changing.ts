import { parseOptions } from '@waybill/core/driver'
import type { JobBook } from '../book/job-book.ts'
import { type JobDefinition, requireJob } from '../definition.ts'
import { type AddOptions, type JobListFilter, retryAllSchema, updateSchema } from '../jobs-options.ts'
import { dataText } from '../new-jobs.ts'
import type { JobStore } from '../store.ts'

const retryPage = 1000

export interface ChangingHost {
  readonly book: JobBook
  /** From now on this process sends what is due of the definition. */
  serve(definition: JobDefinition): void
  /** Something may be due. */
  wake(): void
}

/** Of all that failed, or were cancelled. */
export type RetryFilter = Pick<JobListFilter, 'name' | 'queue' | 'parent'> & {
  readonly state?: 'failed' | 'cancelled'
}

/** What `update` changes. */
export interface JobChange<Input = unknown> {
  readonly data?: Input
  readonly delay?: AddOptions['delay']
  readonly priority?: number
}

/** What people change of jobs by hand. */
export class Changing {
  readonly #host: ChangingHost

  constructor(host: ChangingHost) {
    this.#host = host
  }

  async retry(ids: readonly string[]): Promise<number> {
    const retried = await this.#host.book.retry(ids)
    this.#host.wake()
    return retried.length
  }

  async retryAll(filter: RetryFilter = {}): Promise<number> {
    const { state, ...rest } = parseOptions(retryAllSchema, filter, 'retry of jobs')
    let retried = 0
    let after: Parameters<JobStore['list']>[2]
    for (;;) {
      const rows = await this.#host.book.store.list({ ...rest, states: [state] }, retryPage, after)
      const last = rows.at(-1)
      if (last === undefined) return retried
      retried += await this.retry(rows.map(({ id }) => id))
      after = { at: last.createdAt, id: last.id }
    }
  }

  async cancel(id: string): Promise<boolean> {
    return (await this.#host.book.cancel([id])).length > 0
  }

  async promote(id: string): Promise<boolean> {
    const promoted = await this.#host.book.promote([id])
    this.#host.wake()
    return promoted.length > 0
  }

  async update(definition: JobDefinition, id: string, change: JobChange): Promise<boolean> {
    requireJob(definition, 'update')
    const { data, delay, priority } = parseOptions(updateSchema, change, `update of job ${id}`)
    const text = data === undefined ? undefined : await dataText(definition, data)
    const changed = await this.#host.book.update(id, { data: text, delayMs: delay, priority })
    this.#host.serve(definition)
    return changed.length > 0
  }
}
