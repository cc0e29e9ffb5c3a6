import {
  InvalidMessageError,
  type Issue,
  type MessageDefinition,
  MessagingError,
  type TraceContext,
} from '@waybill/core'
import { newId } from '@waybill/core/driver-kit'
import type { AddedJob } from '../book/adding.ts'
import type { JobBook } from '../book/job-book.ts'
import type { NewJob } from '../book/new-job.ts'
import { type JobDefinition, requireJob } from '../definition.ts'
import { definitionsOf, type FlowStep, jobsOfFlow } from '../flows/flow-step.ts'
import { type HandleHost, Job } from '../job-handle.ts'
import type { JobMiddlewares } from '../job-middleware.ts'
import type { AddOptions, SendLaterOptions } from '../jobs-options.ts'
import { newJob, newMessage } from '../new-jobs.ts'
import { addingTogether } from './adding-together.ts'

export interface AddingHost {
  readonly book: JobBook
  readonly handles: HandleHost
  readonly middlewares: JobMiddlewares
  /** From now on this process sends what is due of the definition. */
  serve(definition: JobDefinition): void
  serveMessages(definition: MessageDefinition): void
}

/** A job of `addBulk`. */
export interface BulkItem<Input = unknown> {
  readonly data: Input
  readonly options?: Omit<AddOptions, 'transaction'>
}

/** How jobs and messages come into the store. */
export class Adding {
  readonly #host: AddingHost
  readonly #addTogether: (job: NewJob) => Promise<AddedJob>

  constructor(host: AddingHost) {
    this.#host = host
    this.#addTogether = addingTogether(host.book)
  }

  async add(definition: JobDefinition, data: unknown, options?: AddOptions): Promise<Job> {
    requireJob(definition, 'add')
    const [added] = await this.#within(definition, [definition], async (trace) => {
      const { transaction, job } = await newJob(definition, data, options)
      const traced = { ...job, trace }
      // A job of this id or key may be in the middle of a transaction that has yet to commit: others must not wait for it too.
      const mayWait = transaction !== undefined || options?.id !== undefined || job.deduplicate !== undefined
      return mayWait ? await this.#host.book.add([traced], transaction) : [await this.#addTogether(traced)]
    })
    if (added === undefined) throw new MessagingError('failed', `The job ${definition.name} was not added`)
    return this.#handleOf(definition, added)
  }

  async addBulk(
    definition: JobDefinition,
    items: readonly BulkItem[],
    { transaction }: Pick<AddOptions, 'transaction'> = {},
  ): Promise<readonly Job[]> {
    requireJob(definition, 'addBulk')
    if (items.length === 0) return []
    const definitions = items.map(() => definition)
    const added = await this.#within(definition, definitions, async (trace) =>
      this.#host.book.add(traced(await newJobs(definition, items), trace), transaction),
    )
    return added.map((each) => this.#handleOf(definition, each))
  }

  async addFlow(
    flow: FlowStep,
    { id = newId(), transaction }: Pick<AddOptions, 'id' | 'transaction'> = {},
  ): Promise<Job> {
    const { definition } = flow
    const [added] = await this.#within(definition, definitionsOf(flow), async (trace) =>
      this.#host.book.addFlow(traced(await jobsOfFlow(flow, id), trace), transaction),
    )
    if (added === undefined) throw new MessagingError('failed', `The flow ${id} was not added`)
    return this.#handleOf(definition, added)
  }

  async send(definition: MessageDefinition, data: unknown, options?: SendLaterOptions): Promise<string> {
    const { job, transaction } = await newMessage(definition, data, options)
    await this.#host.book.add([job], transaction)
    this.#host.serveMessages(definition)
    return job.id
  }

  /** Within the middleware. What is stored is looked after in this process, whatever a middleware does after that. */
  async #within(
    { name, queue }: JobDefinition,
    definitions: readonly JobDefinition[],
    store: (trace: TraceContext | undefined) => Promise<readonly AddedJob[]>,
  ): Promise<readonly AddedJob[]> {
    const count = definitions.length
    return await this.#host.middlewares.adding({ name, queue, count }, async (trace) => {
      const added = await store(trace)
      for (const definition of new Set(definitions)) this.#host.serve(definition)
      return added
    })
  }

  #handleOf(definition: JobDefinition, { row, isNew }: AddedJob): Job {
    return new Job(this.#host.handles, definition, row.id, isNew)
  }
}

/** @throws {InvalidMessageError} with every problem of the data; each path begins with the item's index. */
async function newJobs(definition: JobDefinition, items: readonly BulkItem[]): Promise<readonly NewJob[]> {
  const made: NewJob[] = []
  const issues: Issue[] = []
  for (const [index, { data, options }] of items.entries()) {
    try {
      made.push((await newJob(definition, data, options)).job)
    } catch (error) {
      if (!(error instanceof InvalidMessageError)) throw error
      issues.push(...error.issues.map(({ path, message }) => ({ path: `${index}.${path}`, message })))
    }
  }
  if (issues.length > 0) throw new InvalidMessageError(`${items.length} jobs ${definition.name}`, issues)
  return made
}

function traced(jobs: readonly NewJob[], trace: TraceContext | undefined): readonly NewJob[] {
  return trace === undefined ? jobs : jobs.map((job) => ({ ...job, trace }))
}
