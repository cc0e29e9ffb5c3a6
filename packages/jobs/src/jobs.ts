import { type Bus, InvalidMessageError, type MessageDefinition, MessagingError } from '@waybill/core'
import { parseOptions, toError } from '@waybill/core/driver'
import { newId } from '@waybill/core/driver-kit'
import type { z } from 'zod'
import { JobBook } from './book/job-book.ts'
import type { NewJob } from './book/new-job.ts'
import { type JobDefinition, requireJob } from './definition.ts'
import { definitionsOf, type FlowStep, jobsOfFlow } from './flows/flow-step.ts'
import type { JobSnapshot } from './job.ts'
import { Job } from './job-handle.ts'
import {
  type AddOptions,
  countsSchema,
  type JobListFilter,
  type JobListOptions,
  type JobsOptions,
  jobsSchema,
  listSchema,
  retryAllSchema,
  type SendLaterOptions,
  updateSchema,
} from './jobs-options.ts'
import { dataText, newJob, newMessage, queueOfMessages } from './new-jobs.ts'
import { ScheduleBook } from './schedules/schedule-book.ts'
import { Schedules } from './schedules/schedules.ts'
import { Dispatcher } from './sending/dispatcher.ts'
import { Housekeeping } from './sending/housekeeping.ts'
import { snapshotOf } from './snapshot.ts'
import type { JobCounts, JobStore } from './store.ts'
import { type JobEvent, Watching } from './watching/watching.ts'
import { JobWorker, type WorkerOptions } from './working/job-worker.ts'

/** A page of a list. */
export interface JobPage {
  readonly jobs: readonly JobSnapshot[]
  /** What `after` takes for the next page; undefined: there is none. */
  readonly next: string | undefined
}

const retryPage = 1000

/** How often a store is looked at that tells of everything. */
const unaskedMs = 3_600_000

/** How often those who watch look at one that does not. */
const watchMs = 500

/**
 * Opens the jobs of a store, whose messages go over a bus. Nothing runs in the background before the first `add` or worker.
 *
 * ```ts
 * const jobs = openJobs({ bus, store: databaseJobStore(database) })
 * await jobs.add(RenderInvoice, { invoiceId: 'i-1' }, { delay: '10m' })
 * ```
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function openJobs(options: JobsOptions): Jobs {
  return new Jobs(options)
}

/** The jobs of a store. Made by `openJobs`. */
export class Jobs implements AsyncDisposable {
  /** Jobs and messages at times: by cron, at an interval, or once. */
  readonly schedules: Schedules
  readonly #options: z.output<typeof jobsSchema>
  readonly #store: JobStore
  readonly #book: JobBook
  readonly #dispatcher: Dispatcher
  readonly #housekeeping: Housekeeping
  readonly #watching: Watching
  readonly #workers = new Set<JobWorker>()
  /** By their queues. */
  readonly #messages = new Map<string, MessageDefinition>()
  #isClosed = false

  /** @internal Made by `openJobs`; the parameters may change in any version. */
  constructor(options: JobsOptions) {
    this.#options = parseOptions(jobsSchema, options, 'jobs options')
    const { store, resendAfter, window } = this.#options
    const poll = store.tellsAll ? unaskedMs : this.#options.poll
    this.#store = store
    this.#book = new JobBook(store)
    const scheduleBook = new ScheduleBook(store)
    this.#housekeeping = new Housekeeping(this.#book, scheduleBook)
    this.schedules = new Schedules({
      store,
      book: scheduleBook,
      serve: (definition) => {
        if ('topic' in definition) this.#serveMessages(definition)
        else this.#serve(definition)
      },
    })
    this.#watching = new Watching(store, store.tellsAll ? poll : Math.min(poll, watchMs))
    this.#dispatcher = new Dispatcher({
      book: this.#book,
      settings: { window, resendMs: resendAfter, pollMs: poll },
      busOf: (queue) => this.#busOf(queue),
      messageOf: (queue) => this.#messages.get(queue),
      sweep: () => this.#housekeeping.turn(),
      failed: (what, error) => this.#failed(what, error),
    })
  }

  /**
   * Adds a job. Resolves when it is stored: from then on it runs, whatever dies.
   *
   * ```ts
   * const job = await jobs.add(SendMail, { to: 'a@example.com' }, { id: `mail:${orderId}`, delay: '5m' })
   * await database.transaction(async (transaction) => {
   *   await placeOrder(transaction, order)
   *   await jobs.add(SendMail, { to: order.email }, { transaction })
   * })
   * ```
   *
   * @throws {InvalidMessageError} listing every problem of the data; nothing was added.
   * @throws {ConfigurationError} with every problem of the options.
   * @throws {MessagingError} `rejected` when the id belongs to a job of another name; `closed`; when the store cannot do it.
   */
  async add<Input, Data, Returned, Output, Progress>(
    definition: JobDefinition<Input, Data, Returned, Output, Progress>,
    data: NoInfer<Input>,
    options?: AddOptions,
  ): Promise<Job<Output, Progress>>
  async add(definition: JobDefinition, data: unknown, options: AddOptions = {}): Promise<Job> {
    this.#ensureOpen()
    requireJob(definition, 'add')
    const { transaction, job } = await newJob(definition, data, options)
    const [added] = await this.#book.add([job], transaction)
    if (added === undefined) throw new MessagingError('failed', `The job ${job.id} was not added`)
    this.#serve(definition)
    return new Job(this.#handles, definition, added.row.id, added.isNew)
  }

  /**
   * Adds many jobs of a definition at once, all or none.
   *
   * ```ts
   * await jobs.addBulk(SendMail, customers.map(({ email }) => ({ data: { to: email } })))
   * ```
   *
   * @throws as `add`; of the data, each path begins with the item's index.
   */
  async addBulk<Input, Data, Returned, Output, Progress>(
    definition: JobDefinition<Input, Data, Returned, Output, Progress>,
    items: readonly { readonly data: NoInfer<Input>; readonly options?: Omit<AddOptions, 'transaction'> }[],
    options?: Pick<AddOptions, 'transaction'>,
  ): Promise<readonly Job<Output, Progress>[]>
  async addBulk(
    definition: JobDefinition,
    items: readonly { readonly data: unknown; readonly options?: Omit<AddOptions, 'transaction'> }[],
    { transaction }: Pick<AddOptions, 'transaction'> = {},
  ): Promise<readonly Job[]> {
    this.#ensureOpen()
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
    const added = await this.#book.add(made, transaction)
    this.#serve(definition)
    return added.map(({ row, isNew }) => new Job(this.#handles, definition, row.id, isNew))
  }

  /**
   * Adds a flow: a job that runs when all its children have completed, and they when theirs have, each in its own queue. All of them
   * are there, or none. In the handler `context.children()` has the results. Resolves with the job that runs last; with an `id`, adding
   * the flow again gives the one that is there.
   *
   * ```ts
   * const job = await jobs.addFlow(
   *   flowStep(Publish, { documentId }, { children: [flowStep(Extract, { documentId }), flowStep(Scan, { documentId })] }),
   * )
   * ```
   *
   * @throws as `add`.
   */
  async addFlow<Output, Progress>(
    flow: FlowStep<Output, Progress>,
    options?: Pick<AddOptions, 'id' | 'transaction'>,
  ): Promise<Job<Output, Progress>>
  async addFlow(
    flow: FlowStep,
    { id = newId(), transaction }: Pick<AddOptions, 'id' | 'transaction'> = {},
  ): Promise<Job> {
    this.#ensureOpen()
    const added = await this.#book.addFlow(await jobsOfFlow(flow, id), transaction)
    if (added === undefined) throw new MessagingError('failed', `The flow ${id} was not added`)
    for (const definition of definitionsOf(flow)) this.#serve(definition)
    return new Job(this.#handles, flow.definition, id, added.isNew)
  }

  /**
   * Sends a message later, over any broker, whatever it can delay. It is sent at least once, with this id each time. Resolves with the
   * id, by which `cancel` and `promote` reach it until then.
   *
   * ```ts
   * const id = await jobs.send(TrialEnds, { userId }, { id: `trial:${userId}`, delay: '14d' })
   * await jobs.cancel(id)
   * ```
   *
   * @throws as `add`.
   */
  async send<Input>(
    definition: MessageDefinition<Input>,
    data: NoInfer<Input>,
    options?: SendLaterOptions,
  ): Promise<string> {
    this.#ensureOpen()
    const { job, transaction } = await newMessage(definition, data, options)
    await this.#book.add([job], transaction)
    this.#serveMessages(definition)
    return job.id
  }

  /**
   * A handle of a job that may be there.
   *
   * ```ts
   * const { url } = await jobs.job(RenderInvoice, id).result()
   * ```
   */
  job<Input, Data, Returned, Output, Progress>(
    definition: JobDefinition<Input, Data, Returned, Output, Progress>,
    id: string,
  ): Job<Output, Progress>
  job(definition: JobDefinition, id: string): Job {
    requireJob(definition, 'job')
    return new Job(this.#handles, definition, id, false)
  }

  /**
   * The job as it is now; undefined if there is none, or no longer.
   *
   * ```ts
   * const { state, history, log } = (await jobs.get('mail:o-1')) ?? {}
   * ```
   */
  async get(id: string): Promise<JobSnapshot | undefined> {
    const [row] = await this.#store.find([id])
    return row && snapshotOf(row, this.#store.clock.now())
  }

  /**
   * A page of jobs, the latest first.
   *
   * ```ts
   * const { jobs: failed, next } = await jobs.list({ name: 'send-mail', state: 'failed', limit: 50 })
   * ```
   *
   * @throws {ConfigurationError} with every problem of the options.
   */
  async list(options: JobListOptions = {}): Promise<JobPage> {
    const { limit, after, state, ...filter } = parseOptions(listSchema, options, 'list of jobs')
    const rows = await this.#store.list({ ...filter, states: state }, limit + 1, after)
    const now = this.#store.clock.now()
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    const next = rows.length > limit && last !== undefined ? `${last.createdAt}:${last.id}` : undefined
    return { jobs: page.map((row) => snapshotOf(row, now)), next }
  }

  /**
   * How many jobs are in each state, all of one moment.
   *
   * ```ts
   * const { waiting, active, failed } = await jobs.counts({ name: 'send-mail' })
   * ```
   */
  async counts(filter: Pick<JobListFilter, 'name' | 'queue'> = {}): Promise<JobCounts> {
    return await this.#store.counts(parseOptions(countsSchema, filter, 'counts of jobs'))
  }

  /**
   * Lets a job that failed or was cancelled run again, with all its attempts. False if it is in another state.
   *
   * ```ts
   * await jobs.retry('mail:o-1')
   * ```
   */
  async retry(id: string): Promise<boolean> {
    return (await this.#retry([id])) > 0
  }

  /**
   * The same for all that failed, or of one name or queue. Resolves with how many they were.
   *
   * ```ts
   * await jobs.retryAll({ name: 'send-mail' })
   * ```
   */
  async retryAll(
    filter: Pick<JobListFilter, 'name' | 'queue' | 'parent'> & {
      readonly state?: 'failed' | 'cancelled'
    } = {},
  ): Promise<number> {
    const { state, ...rest } = parseOptions(retryAllSchema, filter, 'retry of jobs')
    let retried = 0
    let after: Parameters<JobStore['list']>[2]
    for (;;) {
      const rows = await this.#store.list({ ...rest, states: [state] }, retryPage, after)
      const last = rows.at(-1)
      if (last === undefined) return retried
      retried += await this.#retry(rows.map(({ id }) => id))
      after = { at: last.createdAt, id: last.id }
    }
  }

  /**
   * A job that waits never runs; one that runs gets its signal, and its outcome is ignored. False if it has ended.
   *
   * ```ts
   * await jobs.cancel('mail:o-1')
   * ```
   */
  async cancel(id: string): Promise<boolean> {
    return (await this.#book.cancel([id])).length > 0
  }

  /**
   * Lets a delayed job run now. False if it is in another state.
   *
   * ```ts
   * await jobs.promote('mail:o-1')
   * ```
   */
  async promote(id: string): Promise<boolean> {
    const promoted = await this.#book.promote([id])
    this.#dispatcher.wake()
    return promoted.length > 0
  }

  /**
   * Changes a job that has not begun. False if it has, or there is none.
   *
   * ```ts
   * await jobs.update(SendMail, 'mail:o-1', { data: { to: 'b@example.com' }, delay: '1h' })
   * ```
   *
   * @throws {InvalidMessageError} listing every problem of the data.
   */
  async update<Input, Data, Returned, Output, Progress>(
    definition: JobDefinition<Input, Data, Returned, Output, Progress>,
    id: string,
    change: {
      readonly data?: NoInfer<Input>
      readonly delay?: AddOptions['delay']
      readonly priority?: number
    },
  ): Promise<boolean>
  async update(definition: JobDefinition, id: string, change: unknown): Promise<boolean> {
    requireJob(definition, 'update')
    const { data, delay, priority } = parseOptions(updateSchema, change, `update of job ${id}`)
    const text = data === undefined ? undefined : await dataText(definition, data)
    const changed = await this.#book.update(id, { data: text, delayMs: delay, priority })
    this.#serve(definition)
    return changed.length > 0
  }

  /**
   * The jobs of a definition that change from now on, in whichever process. Changes of a job that come within a moment are one event.
   *
   * ```ts
   * for await (const { kind, job } of jobs.events(RenderInvoice)) console.log(job.id, kind, job.progress)
   * ```
   */
  events<Input, Data, Returned, Output, Progress>(
    definition: JobDefinition<Input, Data, Returned, Output, Progress>,
    options?: { readonly signal?: AbortSignal },
  ): AsyncGenerator<JobEvent<Output, Progress>>
  events(
    definition: JobDefinition,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<JobEvent> {
    this.#ensureOpen()
    requireJob(definition, 'events')
    return this.#watching.all(definition.name, signal)
  }

  /**
   * A job as it is, and after each change, until it ends, whatever its definition.
   *
   * ```ts
   * for await (const { job } of jobs.watch(id)) socket.send(JSON.stringify({ state: job.state, progress: job.progress }))
   * ```
   */
  watch(id: string, { signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<JobEvent> {
    this.#ensureOpen()
    return this.#watching.one(id, signal)
  }

  /**
   * A worker, which runs jobs once it is started. Any number may run, in any processes.
   *
   * ```ts
   * const worker = jobs.worker({ concurrency: 20 }).handle(SendMail, ({ data }) => mailer.send(data))
   * await worker.start()
   * ```
   *
   * @throws {ConfigurationError} with every problem of the options.
   */
  worker(options?: WorkerOptions): JobWorker {
    this.#ensureOpen()
    const worker = new JobWorker(
      {
        book: this.#book,
        busOf: (queue) => this.#busOf(queue),
        wake: () => this.#dispatcher.wake(),
        serve: (definition) => this.#serve(definition),
        failed: (what, error) => this.#failed(what, error),
      },
      options,
    )
    this.#workers.add(worker)
    return worker
  }

  /**
   * Stops the workers and what runs in the background. Bus and store stay open.
   *
   * ```ts
   * await jobs.close()
   * ```
   */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
    await this.#dispatcher.stop()
    this.#watching.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #handles() {
    return {
      get: (id: string) => this.get(id),
      watch: (id: string, signal?: AbortSignal) => this.#watching.one(id, signal),
      cancel: (id: string) => this.cancel(id),
    }
  }

  async #retry(ids: readonly string[]): Promise<number> {
    const retried = await this.#book.retry(ids)
    this.#dispatcher.wake()
    return retried.length
  }

  #serve(definition: JobDefinition): void {
    this.#housekeeping.know(definition)
    this.#dispatcher.serve(definition.queue)
  }

  #serveMessages(definition: MessageDefinition): void {
    const queue = queueOfMessages(definition)
    this.#messages.set(queue, definition)
    this.#dispatcher.serve(queue)
  }

  /** Of a queue of jobs, or the topic of messages. */
  #busOf(queue: string): Bus {
    const { buses, bus } = this.#options
    return buses[this.#messages.get(queue)?.topic.name ?? queue] ?? bus
  }

  #failed(what: string, thrown: unknown): void {
    const error = toError(thrown)
    const { onFailure } = this.#options
    if (onFailure !== undefined) onFailure(what, error)
    else process.emitWarning(`Failed, and is tried again: ${what}: ${error.message}`, 'WaybillWarning')
  }

  #ensureOpen(): void {
    if (this.#isClosed) throw new MessagingError('closed', 'The jobs are closed; open them again')
  }
}
