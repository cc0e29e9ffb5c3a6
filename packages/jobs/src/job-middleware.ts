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
  /** Around `add`, `addBulk` and `addFlow`: `next` resolves when the jobs are stored. What it throws, the caller gets. */
  readonly add?: (addition: JobAddition, next: () => Promise<void>) => Promise<void>
  /**
   * Around a handler and the checks of its data and result. What it throws fails the attempt. `next` rejects when the attempt has taken
   * too long, the job was cancelled or the worker stops, even if the handler goes on.
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

  async adding<Result>(
    of: Omit<JobAddition, 'trace'>,
    work: (trace: TraceContext | undefined) => Promise<Result>,
  ): Promise<Result> {
    if (this.#add.length === 0) return await work(undefined)
    const addition: JobAddition = { ...of, trace: undefined }
    return await around(this.#add, addition, `${of.name} was not added`, () => work(addition.trace))
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
  let done: { readonly result: Result } | undefined
  await compose(layers, context, async () => {
    done = { result: await work() }
  })
  if (done !== undefined) return done.result
  throw new MessagingError('failed', `A middleware of jobs ended without calling next(), so ${otherwise}`)
}
