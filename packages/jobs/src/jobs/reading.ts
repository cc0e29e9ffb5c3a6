import { parseOptions } from '@waybill/core/driver'
import type { JobSnapshot } from '../job.ts'
import { countsSchema, type JobListFilter, type JobListOptions, listSchema } from '../jobs-options.ts'
import { snapshotOf } from '../snapshot.ts'
import type { JobCounts, JobStore } from '../store.ts'

/** A page of a list. */
export interface JobPage {
  readonly jobs: readonly JobSnapshot[]
  /** What `after` takes for the next page; undefined: there is none. */
  readonly next: string | undefined
}

/** What there is to know of jobs now. */
export class Reading {
  readonly #store: JobStore

  constructor(store: JobStore) {
    this.#store = store
  }

  async get(id: string): Promise<JobSnapshot | undefined> {
    const [row] = await this.#store.find([id])
    return row && snapshotOf(row, this.#store.clock.now())
  }

  async list(options: JobListOptions = {}): Promise<JobPage> {
    const { limit, after, state, ...filter } = parseOptions(listSchema, options, 'list of jobs')
    const rows = await this.#store.list({ ...filter, states: state }, limit + 1, after)
    const now = this.#store.clock.now()
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    const next = rows.length > limit && last !== undefined ? `${last.createdAt}:${last.id}` : undefined
    return { jobs: page.map((row) => snapshotOf(row, now)), next }
  }

  async counts(filter: Pick<JobListFilter, 'name' | 'queue'> = {}): Promise<JobCounts> {
    return await this.#store.counts(parseOptions(countsSchema, filter, 'counts of jobs'))
  }
}
