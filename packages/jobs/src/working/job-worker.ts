import {
  type Bus,
  type Consumer,
  type Duration,
  MessagingError,
  type StartOptions,
  type StopOptions,
  type WorkerHealth,
} from '@waybill/core'
import { ConfigurationError, parseOptions } from '@waybill/core/driver'
import { durationOption, newId, within } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { JobBook } from '../book/job-book.ts'
import { type JobDefinition, type JobMessage, jobTopic, requireJob, workerGroup } from '../definition.ts'
import type { JobMiddlewares } from '../job-middleware.ts'
import { Attempts, type Handled } from './attempts.ts'
import type { JobHandler } from './job-context.ts'
import { Slots } from './slots.ts'
import { storeBackoff } from './store-backoff.ts'
import { StoreTaker } from './store-taker.ts'
import type { Taker } from './taker.ts'

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
  readonly middlewares: JobMiddlewares
  /** Undefined: its jobs are taken from the store. */
  busOf(queue: string): Bus | undefined
  /** Jobs were taken from the queue, or put into it. */
  wake(): void
  serve(definition: JobDefinition): void
  failed(what: string, error: unknown): void
  /** Why there is nothing from the store. */
  handOutError(): MessagingError | undefined
  /** The worker has nothing in hand any more, and never will. */
  stopped(): void
}

const mostConcurrency = 10_000

const workerSchema = z.strictObject({
  concurrency: z.int().min(1).max(mostConcurrency).default(10),
  lease: durationOption({ min: 1000, max: 86_400_000 }).transform(Math.ceil).default(30_000),
})

const stopSchema = z.strictObject({ timeout: durationOption().default(30_000) })

// What fails here is the store, not the job: the message comes back until the store answers.
const storeRetry = { attempts: 10_000, backoff: storeBackoff }

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
  readonly #handled = new Map<string, Handled>()
  readonly #attempts: Attempts
  /** By queue: how many handlers run at once. */
  readonly #slots = new Map<string, Slots>()
  #consumers: readonly Consumer[] = []
  /** By queue, of those without a bus. */
  readonly #takers = new Map<string, StoreTaker>()
  #isStarted = false
  #isStopped = false

  /** @internal Made by `jobs.worker()`; the parameters may change in any version. */
  constructor(host: WorkerHost, options: WorkerOptions = {}) {
    this.#options = parseOptions(workerSchema, options, 'worker options')
    this.#host = host
    this.#attempts = new Attempts({
      book: host.book,
      middlewares: host.middlewares,
      owner: this.#owner,
      leaseMs: this.#options.lease,
      definitionOf: (name) => this.#handled.get(name)?.definition,
      wake: () => host.wake(),
      failed: (what, error) => host.failed(what, error),
    })
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
    if (this.#handled.has(definition.name)) {
      const message = `"${definition.name}" has a handler in this worker already`
      throw new ConfigurationError('handler', [{ path: 'definition', message }])
    }
    this.#handled.set(definition.name, { definition, handler })
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
    if (this.#isStarted || this.#isStopped) throw notAgain()
    if (this.#handled.size === 0)
      throw new ConfigurationError('worker', [{ path: 'handle', message: 'it has no handler' }])
    this.#isStarted = true
    const consumers = new Map<Bus, Consumer>()
    const ofStore = new Map<string, Map<string, Handled>>()
    for (const handled of this.#handled.values()) {
      const { queue, name } = handled.definition
      const bus = this.#host.busOf(queue)
      if (bus === undefined) {
        const together = ofStore.get(queue) ?? new Map<string, Handled>()
        ofStore.set(queue, together.set(name, handled))
      } else {
        const consumer = consumers.get(bus) ?? this.#consumer(bus)
        consumers.set(bus, consumer)
        this.#register(consumer, handled)
      }
    }
    this.#consumers = [...consumers.values()]
    await Promise.all(this.#consumers.map((consumer) => consumer.start(options)))
    // Nobody would look after its leases any more.
    if (this.#isStopped) throw notAgain()
    for (const [queue, handled] of ofStore) this.#takers.set(queue, this.#taker(queue, handled))
    for (const { definition } of this.#handled.values()) this.#host.serve(definition)
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
    this.#isStopped = true
    const { clock } = this.#host.book.store
    const cancel = clock.after(timeout, () =>
      this.#attempts.interrupt(new MessagingError('closed', 'The worker stops')),
    )
    for (const slots of this.#slots.values()) slots.end()
    // What was given back is still to be stored.
    const longestMs = timeout + 10_000
    await Promise.all([
      ...this.#consumers.map((consumer) => consumer.stop({ timeout: longestMs })),
      within(clock, longestMs, Promise.all([...this.#takers.values()].map((taker) => taker.stop()))),
    ])
    cancel()
    this.#attempts.end()
    this.#host.stopped()
  }

  /** Takes no more jobs until `resume`; running ones go on. */
  pause(): void {
    for (const slots of this.#slots.values()) slots.pause()
    for (const each of [...this.#consumers, ...this.#takers.values()]) each.pause()
  }

  resume(): void {
    for (const slots of this.#slots.values()) slots.resume()
    for (const each of [...this.#consumers, ...this.#takers.values()]) each.resume()
    this.#host.wake()
  }

  /** As of the consumers that it has at its brokers; of queues without a bus, as if each were one. */
  health(): readonly WorkerHealth[] {
    const error = this.#host.handOutError()
    const consumers = this.#consumers.flatMap((consumer) => consumer.health())
    return [...consumers.map((each) => withStore(each, error)), ...this.storeHealth()]
  }

  /** @internal Of queues without a bus alone. */
  storeHealth(): readonly WorkerHealth[] {
    return [...this.#takers.values()].map((taker) => taker.health())
  }

  /** @internal What it has of a queue whose jobs are taken from the store. */
  takerOf(queue: string): Taker | undefined {
    return this.#takers.get(queue)
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

  #register(consumer: Consumer, handled: Handled): void {
    const { definition } = handled
    const { concurrency, rateLimit } = definition.settings
    consumer.on(definition.message, ({ data }) => this.#run(handled, data), {
      ...(concurrency !== undefined && { concurrency }),
      ...(rateLimit !== undefined && { rateLimit }),
    })
  }

  #taker(queue: string, handled: ReadonlyMap<string, Handled>): StoreTaker {
    const { concurrency, lease: leaseMs } = this.#options
    return new StoreTaker({
      topic: jobTopic(queue),
      handled,
      attempts: this.#attempts,
      owner: this.#owner,
      leaseMs,
      concurrency,
      clock: this.#host.book.store.clock,
      wake: () => this.#host.wake(),
      failed: (what, error) => this.#host.failed(what, error),
      error: () => this.#host.handOutError(),
    })
  }

  /** Resolves when the message can be acked: whatever became of the attempt is in the store. */
  async #run(handled: Handled, { job, run }: JobMessage): Promise<void> {
    const slots = this.#slotsOf(handled.definition.queue)
    const isOpen = await slots.enter()
    // Another message is sent at once, to whoever has room.
    if (!isOpen) return await this.#attempts.giveBack({ id: job, run })
    await this.#attempts.begin(handled, { id: job, run }, () => slots.leave())
  }

  #slotsOf(queue: string): Slots {
    const slots = this.#slots.get(queue) ?? new Slots(this.#options.concurrency)
    this.#slots.set(queue, slots)
    return slots
  }
}

/** Of a consumer whose broker may be well: a message without the job is worth nothing. */
function withStore(health: WorkerHealth, error: MessagingError | undefined): WorkerHealth {
  const isWell = health.state === 'running' && health.error === undefined
  return isWell && error !== undefined ? { ...health, state: 'recovering', error } : health
}

function notAgain(): MessagingError {
  return new MessagingError('closed', 'The worker was started or stopped before; make another')
}
