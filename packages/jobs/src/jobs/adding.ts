import { InvalidMessageError, type MessageDefinition, MessagingError, type TraceContext } from '@waybill/core'
import { newId } from '@waybill/core/driver-kit'
import type { Transaction } from '@waybill/database'
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
    const { transaction, job } = await newJob(definition, data, options)
    // A job of this id or key may be in the middle of a transaction that has yet to commit: others must not wait for it too.
    const mayWait = transaction !== undefined || options?.id !== undefined || job.deduplicate !== undefined
    const { middlewares } = this.#host
    const added = await middlewares.adding(additionOf(definition, 1), (trace) =>
      mayWait ? this.#addAlone({ ...job, trace }, transaction) : this.#addTogether({ ...job, trace }),
    )
    this.#host.serve(definition)
    return new Job(this.#host.handles, definition, added.row.id, added.isNew)
  }

  async addBulk(
    definition: JobDefinition,
    items: readonly BulkItem[],
    { transaction }: Pick<AddOptions, 'transaction'> = {},
  ): Promise<readonly Job[]> {
    requireJob(definition, 'addBulk')
    const made: NewJob[] = []
    const issues: { readonly path: string; readonly message: string }[] = []
    for (const [index, { data, options }] of items.entries()) {
      try {
        made.push((await newJob(definition, data, options)).job)
      } catch (error) {
        if (!(error instanceof InvalidMessageError)) throw error
        issues.push(...error.issues.map(({ path, message }) => ({ path: `${index}.${path}`, message })))
      }
    }
    if (issues.length > 0) throw new InvalidMessageError(`${items.length} jobs ${definition.name}`, issues)
    if (made.length === 0) return []
    const { middlewares, book } = this.#host
    const added = await middlewares.adding(additionOf(definition, made.length), (trace) =>
      book.add(traced(made, trace), transaction),
    )
    this.#host.serve(definition)
    return added.map(({ row, isNew }) => new Job(this.#host.handles, definition, row.id, isNew))
  }

  async addFlow(
    flow: FlowStep,
    { id = newId(), transaction }: Pick<AddOptions, 'id' | 'transaction'> = {},
  ): Promise<Job> {
    const jobs = await jobsOfFlow(flow, id)
    const { middlewares, book } = this.#host
    const added = await middlewares.adding(additionOf(flow.definition, jobs.length), (trace) =>
      book.addFlow(traced(jobs, trace), transaction),
    )
    if (added === undefined) throw new MessagingError('failed', `The flow ${id} was not added`)
    for (const definition of definitionsOf(flow)) this.#host.serve(definition)
    return new Job(this.#host.handles, flow.definition, id, added.isNew)
  }

  async send(definition: MessageDefinition, data: unknown, options?: SendLaterOptions): Promise<string> {
    const { job, transaction } = await newMessage(definition, data, options)
    await this.#host.book.add([job], transaction)
    this.#host.serveMessages(definition)
    return job.id
  }

  async #addAlone(job: NewJob, transaction: Transaction | undefined): Promise<AddedJob> {
    const [added] = await this.#host.book.add([job], transaction)
    if (added === undefined) throw new MessagingError('failed', `The job ${job.id} was not added`)
    return added
  }
}

function traced(jobs: readonly NewJob[], trace: TraceContext | undefined): readonly NewJob[] {
  return trace === undefined ? jobs : jobs.map((job) => ({ ...job, trace }))
}

function additionOf({ name, queue }: JobDefinition, count: number) {
  return { name, queue, count }
}
