import { MessagingError, type TraceContext } from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import { compose } from '@waybill/core/driver-kit'
import { z } from 'zod'

/** What is being added: a job, those of `addBulk`, or a flow, of which this tells the last one to run. */
export interface JobAddition {
  readonly name: string
  readonly queue: string
  /** How many jobs; of a flow all of them. */
  readonly count: number
  /** How many of them are new, once `next` has resolved: the others were there, by their id or key. Undefined before. */
  readonly added: number | undefined
  /** Stored with the jobs, for those who run them. To be set before `next`. */
  trace: TraceContext | undefined
}

/** An attempt of a job. */
export interface JobRun {
  readonly id: string
  readonly name: string
  readonly queue: string
  /** 1 on the first. */
  readonly attempt: number
  readonly attempts: number
  /** What the job was added with. */
  readonly trace: TraceContext | undefined
}

/** What is done around jobs, whatever their definition. */
export interface JobMiddleware {
  /**
   * Around `add`, `addBulk` and `addFlow`, with the checks of data and options: `next` resolves when the jobs are stored. What it throws,
   * the caller gets; it undoes nothing. A failure of `next` that it keeps to itself, the caller gets all the same.
   */
  readonly add?: (addition: JobAddition, next: () => Promise<void>) => Promise<void>
  /**
   * Around a handler and the checks of its data and result. What it throws fails the attempt, and so does what `next` rejects with, even
   * if it keeps that to itself. `next` rejects when the attempt has taken too long, the job was cancelled or the worker stops, even if the
   * handler goes on.
   */
  readonly handle?: (run: JobRun, next: () => Promise<void>) => Promise<void>
}

type Add = NonNullable<JobMiddleware['add']>
type Handle = NonNullable<JobMiddleware['handle']>

const isFunction = (value: unknown) => typeof value === 'function'

const middlewareSchema = z
  .strictObject({
    add: z.custom<Add>(isFunction, 'expected a function').optional(),
    handle: z.custom<Handle>(isFunction, 'expected a function').optional(),
  })
  .refine(
    ({ add, handle }) => add !== undefined || handle !== undefined,
    'expected at least one of add and handle',
  )

/** The middleware of a process's jobs, the first outermost. */
export class JobMiddlewares {
  readonly #add: Add[] = []
  readonly #handle: Handle[] = []

  /** @throws {ConfigurationError} when it is no middleware. */
  use(middleware: JobMiddleware): void {
    const { add, handle } = parseOptions(middlewareSchema, middleware, 'job middleware')
    if (add !== undefined) this.#add.push(add)
    if (handle !== undefined) this.#handle.push(handle)
  }

  async adding<Added extends { readonly isNew: boolean }>(
    of: Pick<JobAddition, 'name' | 'queue' | 'count'>,
    work: (trace: TraceContext | undefined) => Promise<readonly Added[]>,
  ): Promise<readonly Added[]> {
    if (this.#add.length === 0) return await work(undefined)
    const addition: JobAddition & { added: number | undefined } = {
      ...of,
      added: undefined,
      trace: undefined,
    }
    return await around(this.#add, addition, `${of.name} was not added`, async () => {
      const jobs = await work(addition.trace)
      addition.added = jobs.filter(({ isNew }) => isNew).length
      return jobs
    })
  }

  /** `over` rejects when the attempt is over whatever the handler does. */
  async handling<Result>(
    run: JobRun,
    work: () => Promise<Result>,
    over: () => Promise<never>,
  ): Promise<Result> {
    if (this.#handle.length === 0) return await work()
    return await around(this.#handle, run, `job ${run.id} did not run`, () => Promise.race([work(), over()]))
  }
}

async function around<Context, Result>(
  layers: readonly ((context: Context, next: () => Promise<void>) => Promise<void>)[],
  context: Context,
  otherwise: string,
  work: () => Promise<Result>,
): Promise<Result> {
  let working: Promise<Result> | undefined
  await compose(layers, context, async () => {
    working = work()
    await working
  })
  if (working !== undefined) return await working
  throw new MessagingError('failed', `A middleware of jobs ended without calling next(), so ${otherwise}`)
}
