import { type Bus, type MessageDefinition, MessagingError, type WorkerHealth } from '@waybill/core'
import { ConfigurationError, parseOptions, toError } from '@waybill/core/driver'
import type { z } from 'zod'
import { JobBook } from './book/job-book.ts'
import { type JobDefinition, requireJob } from './definition.ts'
import type { FlowStep } from './flows/flow-step.ts'
import type { JobSnapshot } from './job.ts'
import { Job } from './job-handle.ts'
import { type JobMiddleware, JobMiddlewares } from './job-middleware.ts'
import { Adding, type BulkItem } from './jobs/adding.ts'
import { Changing, type JobChange, type RetryFilter } from './jobs/changing.ts'
import { type JobPage, Reading } from './jobs/reading.ts'
import {
  type AddOptions,
  type JobListFilter,
  type JobListOptions,
  type JobsOptions,
  jobsSchema,
  type SendLaterOptions,
} from './jobs-options.ts'
import { queueOfMessages } from './new-jobs.ts'
import { ScheduleBook } from './schedules/schedule-book.ts'
import { Schedules } from './schedules/schedules.ts'
import { Dispatcher } from './sending/dispatcher.ts'
import { Housekeeping } from './sending/housekeeping.ts'
import type { JobCounts } from './store.ts'
import { type JobEvent, Watching } from './watching/watching.ts'
import { JobWorker, type WorkerOptions } from './working/job-worker.ts'

/** How often a store is looked at that tells of everything. */
const unaskedMs = 3_600_000

/** How often those who watch look at one that does not. */
const watchMs = 500

/**
 * Opens the jobs of a store. With a bus workers get them by messages over its broker; without one they take them from the store.
 * Nothing runs in the background before the first `add` or worker.
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
  readonly #book: JobBook
  readonly #adding: Adding
  readonly #reading: Reading
  readonly #changing: Changing
  readonly #dispatcher: Dispatcher
  readonly #housekeeping: Housekeeping
  readonly #watching: Watching
  readonly #middlewares = new JobMiddlewares()
  readonly #workers = new Set<JobWorker>()
  /** By their queues. */
  readonly #messages = new Map<string, MessageDefinition>()
  #isClosed = false

  /** @internal Made by `openJobs`; the parameters may change in any version. */
  constructor(options: JobsOptions) {
    this.#options = parseOptions(jobsSchema, options, 'jobs options')
    const { store, resendAfter, window } = this.#options
    const poll = store.tellsAll ? unaskedMs : this.#options.poll
    this.#book = new JobBook(store)
    const failed = (what: string, error: unknown) => this.#failed(what, error)
    const scheduleBook = new ScheduleBook(store, failed)
    this.#housekeeping = new Housekeeping(this.#book, scheduleBook, failed)
    this.schedules = new Schedules({
      store,
      book: scheduleBook,
      serve: (definition) => {
        if ('topic' in definition) this.#serveMessages(definition)
        else this.#serve(definition)
      },
    })
    const book = this.#book
    const serve = (definition: JobDefinition) => this.#serve(definition)
    const handles = this.#handles
    const serveMessages = (definition: MessageDefinition) => this.#serveMessages(definition)
    this.#adding = new Adding({ book, handles, middlewares: this.#middlewares, serve, serveMessages })
    this.#reading = new Reading(store)
    this.#changing = new Changing({ book, serve, wake: () => this.#dispatcher.wake() })
    this.#watching = new Watching(store, store.tellsAll ? poll : Math.min(poll, watchMs))
    this.#dispatcher = new Dispatcher({
      book: this.#book,
      window,
      resendMs: resendAfter,
      pollMs: poll,
      busOf: (queue) => this.#busOf(queue),
      takersOf: (queue) => [...this.#workers].flatMap((worker) => worker.takerOf(queue) ?? []),
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
  async add(definition: JobDefinition, data: unknown, options?: AddOptions): Promise<Job> {
    this.#ensureOpen()
    return await this.#adding.add(definition, data, options)
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
    items: readonly BulkItem<NoInfer<Input>>[],
    options?: Pick<AddOptions, 'transaction'>,
  ): Promise<readonly Job<Output, Progress>[]>
  async addBulk(
    definition: JobDefinition,
    items: readonly BulkItem[],
    options?: Pick<AddOptions, 'transaction'>,
  ): Promise<readonly Job[]> {
    this.#ensureOpen()
    return await this.#adding.addBulk(definition, items, options)
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
  async addFlow(flow: FlowStep, options?: Pick<AddOptions, 'id' | 'transaction'>): Promise<Job> {
    this.#ensureOpen()
    return await this.#adding.addFlow(flow, options)
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
    return await this.#adding.send(definition, data, options)
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
    return await this.#reading.get(id)
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
  async list(options?: JobListOptions): Promise<JobPage> {
    return await this.#reading.list(options)
  }

  /**
   * How many jobs are in each state, all of one moment.
   *
   * ```ts
   * const { waiting, active, failed } = await jobs.counts({ name: 'send-mail' })
   * ```
   */
  async counts(filter?: Pick<JobListFilter, 'name' | 'queue'>): Promise<JobCounts> {
    return await this.#reading.counts(filter)
  }

  /**
   * Lets a job that failed or was cancelled run again, with all its attempts. False if it is in another state.
   *
   * ```ts
   * await jobs.retry('mail:o-1')
   * ```
   */
  async retry(id: string): Promise<boolean> {
    return (await this.#changing.retry([id])) > 0
  }

  /**
   * The same for all that failed, or of one name or queue. Resolves with how many they were.
   *
   * ```ts
   * await jobs.retryAll({ name: 'send-mail' })
   * ```
   */
  async retryAll(filter?: RetryFilter): Promise<number> {
    return await this.#changing.retryAll(filter)
  }

  /**
   * A job that waits never runs; one that runs gets its signal, and its outcome is ignored. False if it has ended.
   *
   * ```ts
   * await jobs.cancel('mail:o-1')
   * ```
   */
  async cancel(id: string): Promise<boolean> {
    return await this.#changing.cancel(id)
  }

  /**
   * Lets a delayed job run now. False if it is in another state.
   *
   * ```ts
   * await jobs.promote('mail:o-1')
   * ```
   */
  async promote(id: string): Promise<boolean> {
    return await this.#changing.promote(id)
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
    change: JobChange<NoInfer<Input>>,
  ): Promise<boolean>
  async update(definition: JobDefinition, id: string, change: JobChange): Promise<boolean> {
    return await this.#changing.update(definition, id, change)
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
        middlewares: this.#middlewares,
        busOf: (queue) => this.#busOf(queue),
        wake: () => this.#dispatcher.wake(),
        serve: (definition) => this.#serve(definition),
        failed: (what, error) => this.#failed(what, error),
        handOutError: () => this.#dispatcher.handOutError ?? this.#housekeeping.error,
        stopped: () => this.#workers.delete(worker),
      },
      options,
    )
    this.#workers.add(worker)
    return worker
  }

  /**
   * Of the workers of this process, as far as they take jobs from the store: one for each of them and queue. What they get from a
   * broker is in `bus.consumerHealth()`.
   *
   * ```ts
   * const failing = jobs.workerHealth().filter(({ error }) => error !== undefined)
   * ```
   */
  workerHealth(): readonly WorkerHealth[] {
    return [...this.#workers].flatMap((worker) => worker.storeHealth())
  }

  /**
   * Puts middleware around all jobs that this process adds and runs from now on, the first outermost.
   *
   * ```ts
   * jobs.use({ handle: ({ id, name }, next) => logContext.run({ job: id, name }, next) })
   * ```
   *
   * @throws {ConfigurationError} when it is no middleware.
   */
  use(middleware: JobMiddleware): this {
    this.#middlewares.use(middleware)
    return this
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

  #serve(definition: JobDefinition): void {
    this.#housekeeping.know(definition)
    this.#dispatcher.serve(definition.queue, definition.settings.globalConcurrency)
  }

  #serveMessages(definition: MessageDefinition): void {
    const { bus, buses } = this.#options
    const { type, topic } = definition
    if ((buses[topic.name] ?? bus) === undefined) {
      const message = `needed to send ${type} later; or give one for the topic: buses: { '${topic.name}': bus }`
      throw new ConfigurationError('jobs options', [{ path: 'bus', message }])
    }
    const queue = queueOfMessages(definition)
    this.#messages.set(queue, definition)
    this.#dispatcher.serve(queue)
  }

  /** Of a queue of jobs, or the topic of messages. */
  #busOf(queue: string): Bus | undefined {
    const { buses, bus } = this.#options
    return buses[this.#messages.get(queue)?.topic.name ?? queue] ?? bus
  }

  #failed(what: string, thrown: unknown): void {
    const error = toError(thrown)
    const { onFailure } = this.#options
    if (onFailure !== undefined) told(onFailure, what, error)
    else process.emitWarning(`Failed, and is tried again: ${what}: ${error.message}`, 'WaybillWarning')
  }

  #ensureOpen(): void {
    if (this.#isClosed) throw new MessagingError('closed', 'The jobs are closed; open them again')
  }
}

/** What goes on in the background does so whatever becomes of the news. */
function told(onFailure: (what: string, error: Error) => void, what: string, error: Error): void {
  try {
    onFailure(what, error)
  } catch (thrown) {
    process.emitWarning(`onFailure threw: ${toError(thrown).message}`, 'WaybillWarning')
  }
}
