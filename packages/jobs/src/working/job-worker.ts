import {
  type Bus,
  type Consumer,
  type Duration,
  exponential,
  MessagingError,
  type StartOptions,
  type StopOptions,
  type WorkerHealth,
} from '@waybill/core'
import { ConfigurationError, parseOptions, sleep, toError } from '@waybill/core/driver'
import { decideRetry, durationOption, newId, resolveRetry } from '@waybill/core/driver-kit'
import { z } from 'zod'
import { answeredBatches } from '../batching/answered-batches.ts'
import type { JobBook, Outcome, Run } from '../book/job-book.ts'
import { type JobDefinition, type JobMessage, requireJob, workerGroup } from '../definition.ts'
import type { JobError } from '../job.ts'
import type { JobRow } from '../store.ts'
import { validated } from '../validated.ts'
import type { ChildResult, JobContext, JobHandler } from './job-context.ts'
import { LiveRun } from './live-run.ts'
import { Runs } from './runs.ts'
import { Slots } from './slots.ts'

export interface WorkerOptions {
  /** How many jobs run at once, of each queue. Default: 10. */
  readonly concurrency?: number
  /**
   * How long a job is kept from others when its worker says nothing, at least 1 s. Renewed while the job runs, however long that is;
   * after a crash the job runs elsewhere this long later. Default: `30s`.
   */
  readonly lease?: Duration
}

export interface WorkerHost {
  readonly book: JobBook
  busOf(queue: string): Bus
  /** Jobs were taken from the queue, or put into it. */
  wake(): void
  serve(definition: JobDefinition): void
  failed(what: string, error: unknown): void
}

const mostConcurrency = 10_000

const workerSchema = z.strictObject({
  concurrency: z.int().min(1).max(mostConcurrency).default(10),
  lease: durationOption({ min: 1000, max: 86_400_000 }).default(30_000),
})

const stopSchema = z.strictObject({ timeout: durationOption().default(30_000) })

const batchSize = 500

// What fails here is the store, not the job: the message comes back until the store answers.
const storeRetry = { attempts: 10_000, backoff: exponential({ initial: '500ms', max: '30s' }) }

// The store leases jobs. A broker that takes a message back sooner hands it to a worker that finds the job running.
const longest = '7d'

/**
 * Runs jobs. Made by `jobs.worker()`; register handlers, then `start`.
 *
 * ```ts
 * const worker = jobs.worker({ concurrency: 5 }).handle(RenderInvoice, async ({ data }, { signal, progress }) => {
 *   return { url: await render(data.invoiceId, signal, progress) }
 * })
 * await worker.start()
 * ```
 */
export class JobWorker {
  readonly #host: WorkerHost
  readonly #options: z.output<typeof workerSchema>
  readonly #owner = newId()
  readonly #handlers = new Map<string, { readonly definition: JobDefinition; readonly handler: JobHandler }>()
  readonly #runs: Runs
  readonly #take: (run: Run) => Promise<JobRow | undefined>
  readonly #finish: (outcome: Outcome) => Promise<boolean>
  readonly #unclaim: (run: Run) => Promise<void>
  /** By queue: how many handlers run at once. */
  readonly #slots = new Map<string, Slots>()
  #consumers: readonly Consumer[] = []
  #isStarted = false

  /** @internal Made by `jobs.worker()`; the parameters may change in any version. */
  constructor(host: WorkerHost, options: WorkerOptions = {}) {
    this.#options = parseOptions(workerSchema, options, 'worker options')
    this.#host = host
    const { book } = host
    const leaseMs = this.#options.lease
    this.#runs = new Runs({
      book,
      owner: this.#owner,
      leaseMs,
      failed: (what, error) => host.failed(what, error),
      progressText: ({ row }, value) => this.#progressText(row, value),
    })
    this.#take = answeredBatches((runs: readonly Run[]) => book.take(runs, this.#owner, leaseMs), batchSize)
    this.#finish = answeredBatches(
      (outcomes: readonly Outcome[]) => book.finish(outcomes, this.#owner),
      batchSize,
    )
    this.#unclaim = answeredBatches(async (runs: readonly Run[]) => {
      await book.unclaim(runs, 0, true)
      return runs.map(() => undefined)
    }, batchSize)
  }

  /**
   * Runs the jobs of a definition. What it returns is the job's result; a throw fails the attempt, and the retry policy decides:
   * `PermanentError` and `RetryAfter` mean what they mean to consumers.
   *
   * ```ts
   * worker.handle(SendMail, async ({ data }, { signal }) => mailer.send(data, signal))
   * ```
   *
   * @throws {ConfigurationError} when it is no definition, or has a handler.
   * @throws {MessagingError} `closed` after `start`.
   */
  handle<Input, Data, Returned, Output, Progress>(
    definition: JobDefinition<Input, Data, Returned, Output, Progress>,
    handler: JobHandler<Data, NoInfer<Returned>, Progress>,
  ): this
  handle(definition: JobDefinition, handler: JobHandler): this {
    requireJob(definition, 'handler')
    if (this.#isStarted) {
      const what = `A handler of ${definition.name} cannot be added to a worker that was started`
      throw new MessagingError('closed', `${what}: add it before start`)
    }
    if (typeof handler !== 'function')
      throw new ConfigurationError('handler', [{ path: 'handler', message: 'expected a function' }])
    if (this.#handlers.has(definition.name)) {
      const message = `"${definition.name}" has a handler in this worker already`
      throw new ConfigurationError('handler', [{ path: 'definition', message }])
    }
    this.#handlers.set(definition.name, { definition, handler })
    return this
  }

  /**
   * Subscribes. Once it resolves, jobs run.
   *
   * ```ts
   * await worker.start()
   * ```
   *
   * @throws as `consumer.start`.
   */
  async start(options: StartOptions = {}): Promise<void> {
    if (this.#isStarted) throw new MessagingError('closed', 'The worker was started before; make another')
    if (this.#handlers.size === 0)
      throw new ConfigurationError('worker', [{ path: 'handle', message: 'it has no handler' }])
    this.#isStarted = true
    const consumers = new Map<Bus, Consumer>()
    for (const { definition, handler } of this.#handlers.values()) {
      const bus = this.#host.busOf(definition.queue)
      const consumer = consumers.get(bus) ?? this.#consumer(bus)
      consumers.set(bus, consumer)
      const { concurrency, rateLimit } = definition.settings
      consumer.on(definition.message, ({ data }) => this.#run(definition, handler, data), {
        ...(concurrency !== undefined && { concurrency }),
        ...(rateLimit !== undefined && { rateLimit }),
      })
    }
    this.#consumers = [...consumers.values()]
    await Promise.all(this.#consumers.map((consumer) => consumer.start(options)))
    for (const { definition } of this.#handlers.values()) this.#host.serve(definition)
  }

  /**
   * Takes no more jobs, lets running ones end within the timeout (30 s), and gives the rest back at once; that uses up none of
   * their attempts.
   *
   * ```ts
   * await worker.stop({ timeout: '1m' })
   * ```
   */
  async stop(options: StopOptions = {}): Promise<void> {
    const { timeout } = parseOptions(stopSchema, options, 'stop options')
    const { clock } = this.#host.book.store
    const cancel = clock.after(timeout, () => {
      for (const run of this.#runs.all)
        run.interrupt('stopped', new MessagingError('closed', 'The worker stops'))
    })
    for (const slots of this.#slots.values()) slots.end()
    // What was given back is still to be stored.
    await Promise.all(this.#consumers.map((consumer) => consumer.stop({ timeout: timeout + 10_000 })))
    cancel()
    this.#runs.end()
  }

  /** Takes no more jobs until `resume`; running ones go on. */
  pause(): void {
    for (const slots of this.#slots.values()) slots.pause()
    for (const consumer of this.#consumers) consumer.pause()
  }

  resume(): void {
    for (const slots of this.#slots.values()) slots.resume()
    for (const consumer of this.#consumers) consumer.resume()
  }

  /** As of the consumers that it has at its brokers. */
  health(): readonly WorkerHealth[] {
    return this.#consumers.flatMap((consumer) => consumer.health())
  }

  #consumer(bus: Bus): Consumer {
    // As many wait for their turn, or have ended and are being stored, as run. More in hand would be missing when this process dies.
    const most = Math.min(2 * this.#options.concurrency, mostConcurrency)
    return bus.consumer(workerGroup, {
      concurrency: most,
      prefetch: Math.min(most, bus.capabilities.maxPrefetch),
      retry: storeRetry,
      maxLease: longest,
      stuckAfter: longest,
    })
  }

  /** Resolves when the message can be acked: whatever became of the attempt is in the store. */
  async #run(definition: JobDefinition, handler: JobHandler, { job, run }: JobMessage): Promise<void> {
    const slots = this.#slotsOf(definition.queue)
    if (!(await slots.enter())) {
      await this.#giveBack({ id: job, run })
      return
    }
    let live: LiveRun | undefined
    let outcome: Outcome | undefined
    try {
      live = await this.#begin({ id: job, run })
      if (live === undefined) return
      outcome = await this.#attempt(definition, handler, live)
    } finally {
      // The next job begins while the outcome of this one is stored.
      slots.leave()
      if (live !== undefined && outcome === undefined) this.#runs.remove(live)
    }
    if (outcome === undefined) return
    try {
      await this.#store(live, outcome)
    } finally {
      this.#runs.remove(live)
    }
    this.#host.wake()
  }

  async #begin(run: Run): Promise<LiveRun | undefined> {
    const { clock } = this.#host.book.store
    const startedAt = clock.monotonic()
    const row = await this.#take(run)
    this.#host.wake()
    if (row === undefined) return undefined
    const live = new LiveRun(row, clock, startedAt + this.#options.lease * 0.9)
    this.#runs.add(live)
    return live
  }

  /** Its message is acked; another is sent at once, to whoever has room. */
  async #giveBack(run: Run): Promise<void> {
    await this.#unclaim(run)
    this.#host.wake()
  }

  #slotsOf(queue: string): Slots {
    const slots = this.#slots.get(queue) ?? new Slots(this.#options.concurrency)
    this.#slots.set(queue, slots)
    return slots
  }

  async #attempt(
    definition: JobDefinition,
    handler: JobHandler,
    live: LiveRun,
  ): Promise<Outcome | undefined> {
    const { timeout } = definition.settings
    const { clock } = this.#host.book.store
    const cancel =
      timeout === undefined
        ? () => {}
        : clock.after(timeout, () => {
            const what = `The attempt of job ${live.id} has taken longer than ${timeout} ms`
            live.interrupt('timeout', new MessagingError('timeout', what))
          })
    const handled = this.#handle(definition, handler, live)
    handled.catch(() => {})
    try {
      await Promise.race([handled, live.interrupted])
      // Counts only if the transaction has not committed.
      if (live.isCompleted) return await this.#failed(definition, live, notCommitted())
      if (live.interruption === undefined)
        return { ...(await this.#told(live)), kind: 'completed', output: await handled }
    } catch (error) {
      if (live.interruption === undefined) return await this.#failed(definition, live, error)
    } finally {
      cancel()
    }
    if (live.interruption === 'lost') return undefined
    if (live.interruption === 'stopped') return { ...(await this.#told(live)), kind: 'released' }
    return await this.#failed(definition, live, live.signal.reason)
  }

  async #handle(definition: JobDefinition, handler: JobHandler, live: LiveRun): Promise<string | undefined> {
    const { row } = live
    const given: unknown = row.data === undefined ? undefined : JSON.parse(row.data)
    const data = await validated(definition.input, given, `data of job ${row.id}`)
    const returned = await handler({ id: row.id, name: row.name, data }, this.#context(definition, live))
    return live.isCompleted ? undefined : await outputText(definition, row, returned)
  }

  #context(definition: JobDefinition, live: LiveRun): JobContext {
    const { row } = live
    return {
      get signal() {
        return live.signal
      },
      attempt: row.details.attempt,
      attempts: row.details.attempts,
      progress: (value) => {
        live.tell(value)
        this.#runs.notify()
      },
      log: (text) => {
        live.log(text)
        this.#runs.notify()
      },
      children: () => this.#children(row.id),
      completeIn: async (transaction, output) => {
        const outcome: Outcome = {
          ...(await this.#told(live)),
          kind: 'completed',
          output: await outputText(definition, row, output),
        }
        const [isDone] = await this.#host.book.finish([outcome], this.#owner, transaction)
        if (isDone !== true) {
          const what = `The job ${row.id} is no longer this worker's, so it was not completed`
          throw new MessagingError('stale', `${what}: let the transaction roll back`)
        }
        live.isCompleted = true
      },
    }
  }

  async #children(id: string): Promise<readonly ChildResult[]> {
    const rows = await this.#host.book.store.list({ parent: id }, 100_000)
    return rows
      .toSorted((one, other) => one.createdAt - other.createdAt || one.ordinal - other.ordinal)
      .map(({ id, name, state, output, details }) => ({
        id,
        name,
        state,
        output: output === undefined ? undefined : JSON.parse(output),
        error: details.error,
      }))
  }

  async #failed(definition: JobDefinition, live: LiveRun, thrown: unknown): Promise<Outcome> {
    const { attempt, attempts } = live.row.details
    const told = await this.#told(live)
    const error = toJobError(thrown)
    try {
      const { isRetryable, backoff } = resolveRetry(definition.settings.retry)
      const isInvalid = MessagingError.is(thrown) && thrown.code === 'invalid-message'
      const decision = decideRetry({ attempts, backoff, isRetryable }, attempt, thrown)
      const retryInMs = decision.retry && !isInvalid ? decision.delayMs : undefined
      return { ...told, kind: 'failed', error, retryInMs }
    } catch (mistake) {
      this.#host.failed(`deciding whether job ${live.id} is tried again`, mistake)
      return { ...told, kind: 'failed', error, retryInMs: undefined }
    }
  }

  async #told(live: LiveRun): Promise<Run & Pick<Outcome, 'taken' | 'progress' | 'log'>> {
    const { progress, log } = live.takeNews()
    const text = progress === undefined ? undefined : await this.#progressText(live.row, progress.value)
    return { id: live.id, run: live.run, taken: live.row, progress: text, log }
  }

  /** Until it is stored, or the lease has run out: then somebody else has the job. */
  async #store(live: LiveRun, outcome: Outcome): Promise<void> {
    const { clock } = this.#host.book.store
    for (let failures = 1; ; failures += 1) {
      try {
        await this.#finish(outcome)
        return
      } catch (error) {
        this.#host.failed(`storing the outcome of job ${live.id}`, error)
        if (clock.monotonic() >= live.leaseEnd) return
        await sleep(clock, storeRetry.backoff(failures))
      }
    }
  }

  async #progressText({ id, name }: JobRow, value: unknown): Promise<string | undefined> {
    try {
      const schema = this.#handlers.get(name)?.definition.progress
      await validated(schema, value, `progress of job ${id}`)
      return JSON.stringify(value)
    } catch (error) {
      this.#host.failed(`storing the progress of job ${id}`, error)
      return undefined
    }
  }
}

async function outputText(
  definition: JobDefinition,
  { id }: JobRow,
  returned: unknown,
): Promise<string | undefined> {
  await validated(definition.output, returned, `output of job ${id}`)
  return JSON.stringify(returned)
}

function notCommitted(): Error {
  return new Error('The transaction that was to complete the job did not commit')
}

function toJobError(thrown: unknown): JobError {
  const { name, message } = toError(thrown)
  return { name, message: message.replaceAll('\0', '').slice(0, 10_000) }
}
