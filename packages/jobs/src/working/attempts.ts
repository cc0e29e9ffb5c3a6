import { MessagingError } from '@waybill/core'
import { sleep, toError } from '@waybill/core/driver'
import { decideRetry, resolveRetry } from '@waybill/core/driver-kit'
import { answeredBatches } from '../batching/answered-batches.ts'
import type { JobBook, Outcome, Run } from '../book/job-book.ts'
import type { JobDefinition } from '../definition.ts'
import type { JobError } from '../job.ts'
import type { JobMiddlewares } from '../job-middleware.ts'
import type { JobRow } from '../store.ts'
import { validated } from '../validated.ts'
import type { ChildResult, JobContext, JobHandler } from './job-context.ts'
import { LiveRun } from './live-run.ts'
import { Runs } from './runs.ts'
import { storeBackoff } from './store-backoff.ts'

export interface AttemptsHost {
  readonly book: JobBook
  readonly owner: string
  readonly leaseMs: number
  readonly middlewares: JobMiddlewares
  definitionOf(name: string): JobDefinition | undefined
  /** Jobs were taken from a queue, or put into it. */
  wake(): void
  failed(what: string, error: unknown): void
}

const batchSize = 500

/** Who handles jobs of a definition. */
export interface Handled {
  readonly definition: JobDefinition
  readonly handler: JobHandler
}

/** The attempts of a worker: each runs a handler and stores what came of it, as long as the job is the worker's. */
export class Attempts {
  readonly #host: AttemptsHost
  readonly #runs: Runs
  readonly #take: (run: Run) => Promise<JobRow | undefined>
  readonly #finish: (outcome: Outcome) => Promise<boolean>
  readonly #unclaim: (run: Run) => Promise<void>
  /** Nothing is to begin any more. */
  #isInterrupted = false

  constructor(host: AttemptsHost) {
    this.#host = host
    const { book, owner, leaseMs } = host
    this.#runs = new Runs({
      book,
      owner,
      leaseMs,
      failed: (what, error) => host.failed(what, error),
      progressText: ({ row }, value) => this.#progressText(row, value),
    })
    const maxItems = batchSize
    this.#take = answeredBatches((runs: readonly Run[]) => book.take(runs, owner, leaseMs), { maxItems })
    this.#finish = answeredBatches((outcomes: readonly Outcome[]) => book.finish(outcomes, owner), {
      maxItems,
      lengthOf: writtenLength,
    })
    const unclaim = async (runs: readonly Run[]) => {
      await book.unclaim(runs, 0, true)
      return runs.map(() => undefined)
    }
    this.#unclaim = answeredBatches(unclaim, { maxItems })
  }

  /** Of a job that was set aside for this worker, unless the run has begun, or is out of date. `leave`: another may begin. */
  async begin(handled: Handled, run: Run, leave: () => void): Promise<void> {
    const takenAt = this.#host.book.store.clock.monotonic()
    let row: JobRow | undefined
    try {
      row = await this.#take(run)
      this.#host.wake()
    } catch (error) {
      leave()
      // It may have begun, which would keep it from everybody until the lease ends, and use up an attempt.
      await this.#finishUntil({ ...run, kind: 'released' }, () => takenAt + this.#host.leaseMs * 0.9)
      throw error
    }
    if (row === undefined) leave()
    else await this.run(handled, row, takenAt, leave)
  }

  /** Gives back jobs of a name that were begun for this worker by a call whose answer never came. */
  async giveBackStrays(name: string): Promise<void> {
    const { book, owner, leaseMs } = this.#host
    const { store } = book
    let last: JobRow | undefined
    do {
      const after = last && { at: last.createdAt, id: last.id }
      const page = await store.list({ name, states: ['active'] }, batchSize, after)
      last = page.length < batchSize ? undefined : page.at(-1)
      // Of those whose leases are as good as over some may have been run here.
      const from = store.clock.now() + leaseMs * 0.2
      const strays = page.filter((row) => row.owner === owner && !this.#runs.has(row))
      const held = strays.filter(({ leaseUntil = 0 }) => leaseUntil > from)
      await Promise.all(held.map(({ id, run }) => this.#finish({ id, run, kind: 'released' })))
    } while (last !== undefined)
    this.#host.wake()
  }

  /** Of a job that was taken. Resolves when whatever became of it is in the store. */
  async run(handled: Handled, row: JobRow, takenAt: number, leave: () => void): Promise<void> {
    const live = this.#liveRun(row, takenAt)
    const isLate = this.#host.book.store.clock.monotonic() >= live.leaseEnd
    // Another worker may have it already, or this one takes no time for it: nothing was done, so no attempt is used up.
    if (isLate || this.#isInterrupted) {
      leave()
      if (isLate) this.#host.failed(`beginning job ${live.id}`, tooLate())
      return await this.#release(live)
    }
    this.#runs.add(live)
    let outcome: Outcome | undefined
    try {
      outcome = await this.#attempt(handled, live)
    } finally {
      live.isOver = true
      // The next job begins while the outcome of this one is stored.
      leave()
      if (outcome === undefined) this.#runs.remove(live)
    }
    if (outcome === undefined) return
    try {
      await this.#store(live, outcome)
    } finally {
      this.#runs.remove(live)
    }
    this.#host.wake()
  }

  /** A run that has not begun: whoever has room gets the job. */
  async giveBack(run: Run): Promise<void> {
    await this.#unclaim(run)
    this.#host.wake()
  }

  /** Gives back a job that was taken, and on which nothing was done. */
  async release(row: JobRow, takenAt: number): Promise<void> {
    await this.#release(this.#liveRun(row, takenAt))
  }

  /** What runs ends now, and its jobs are given back. */
  interrupt(reason: Error): void {
    this.#isInterrupted = true
    for (const live of this.#runs.all) live.interrupt('stopped', reason)
  }

  end(): void {
    this.#runs.end()
  }

  #liveRun(row: JobRow, takenAt: number): LiveRun {
    return new LiveRun(row, this.#host.book.store.clock, takenAt + this.#host.leaseMs * 0.9)
  }

  async #release(live: LiveRun): Promise<void> {
    await this.#store(live, { id: live.id, run: live.run, taken: live.row, kind: 'released' })
  }

  async #attempt({ definition, handler }: Handled, live: LiveRun): Promise<Outcome | undefined> {
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

  /** Resolves with the result as text. */
  async #handle(definition: JobDefinition, handler: JobHandler, live: LiveRun): Promise<string | undefined> {
    const { id, name, queue, attempt, details } = live.row
    const { attempts, trace } = details
    return await this.#host.middlewares.handling(
      { id, name, queue, attempt, attempts, trace },
      () => this.#call(definition, handler, live),
      async () => {
        await live.interrupted
        throw live.signal.reason
      },
    )
  }

  async #call(definition: JobDefinition, handler: JobHandler, live: LiveRun): Promise<string | undefined> {
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
      attempt: row.attempt,
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
        const [isDone] = await this.#host.book.finish([outcome], this.#host.owner, transaction)
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
    const { attempt, details } = live.row
    const { attempts } = details
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

  async #store(live: LiveRun, outcome: Outcome): Promise<void> {
    await this.#finishUntil(outcome, () => live.leaseEnd)
  }

  /** Until it is stored, or the lease has run out: then somebody else has the job. */
  async #finishUntil(outcome: Outcome, leaseEnd: () => number): Promise<void> {
    const { clock } = this.#host.book.store
    for (let failures = 1; ; failures += 1) {
      try {
        await this.#finish(outcome)
        return
      } catch (error) {
        this.#host.failed(`storing the outcome of job ${outcome.id}`, error)
        if (clock.monotonic() >= leaseEnd()) return
        await sleep(clock, storeBackoff(failures))
      }
    }
  }

  async #progressText({ id, name }: JobRow, value: unknown): Promise<string | undefined> {
    try {
      const schema = this.#host.definitionOf(name)?.progress
      await validated(schema, value, `progress of job ${id}`)
      return JSON.stringify(value)
    } catch (error) {
      this.#host.failed(`storing the progress of job ${id}`, error)
      return undefined
    }
  }
}

function writtenLength(outcome: Outcome): number {
  const output = outcome.kind === 'completed' ? outcome.output : undefined
  return (output?.length ?? 0) + (outcome.progress?.length ?? 0)
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

function tooLate(): MessagingError {
  const what = 'The job store took longer than the lease to hand it out'
  return new MessagingError('timeout', `${what}, so it is given back`, { retryable: true })
}

function toJobError(thrown: unknown): JobError {
  // There are libraries whose errors have no message.
  const { name = 'Error', message = '' }: Partial<Error> = toError(thrown)
  return { name, message: message.replaceAll('\0', '').slice(0, 10_000) }
}
