import type { StandardSchemaV1 } from '@standard-schema/spec'
import {
  type Duration,
  defineMessage,
  defineTopic,
  type MessageDefinition,
  type RateLimitStore,
  type RetryPolicy,
} from '@waybill/core'
import { ConfigurationError, parseOptions } from '@waybill/core/driver'
import { durationOption, partialRetrySchema } from '@waybill/core/driver-kit'
import { z } from 'zod'

/** What is kept of jobs that have ended. The one that is reached first counts. */
export interface RemoveAfter {
  /** How long one is kept. Default: `7d`; `30d` for failed ones. */
  readonly age?: Duration
  /** How many of the definition are kept, the latest. Default: as many as there are. */
  readonly count?: number
}

export interface JobOptions<
  Input extends StandardSchemaV1,
  Output extends StandardSchemaV1 = StandardSchemaV1,
  Progress extends StandardSchemaV1 = StandardSchemaV1,
> {
  /** Of the data, by any Standard Schema: `add` takes its input, handlers get its output. */
  readonly input: Input
  /** Of what the handler returns, and `job.result()` resolves with. Default: anything that JSON can hold. */
  readonly output?: Output
  /** Of what `context.progress` takes. Default: anything that JSON can hold. */
  readonly progress?: Progress
  /** Jobs of a queue wait in one line, on a topic of their own. Default: the name of the job. */
  readonly queue?: string
  /** Default: 5 attempts, with backoffs from 1 s to 5 min. */
  readonly retry?: RetryPolicy
  /** How long an attempt may take; after that its signal fires and it has failed. Default: for ever. */
  readonly timeout?: Duration
  /** How many run at once in each worker, within the worker's own `concurrency`. Default: no limit of its own. */
  readonly concurrency?: number
  /**
   * How many jobs of its queue run at once, in all workers of all processes; 1 to 10,000. The store counts them. Every process that adds
   * or runs jobs of the queue has to know of it. Default: no limit.
   */
  readonly globalConcurrency?: number
  /** How many start within any stretch of time, in each worker; for all of them with a `store` that they share. */
  readonly rateLimit?: {
    readonly max: number
    readonly per: Duration
    readonly store?: RateLimitStore
  }
  /** 0 (lowest) to 9, of jobs that say nothing else. Default: 4. */
  readonly priority?: number
  /** Default: completed and cancelled ones after `7d`, failed ones after `30d`. */
  readonly removeAfter?: RemoveAfter
}

/** A kind of job. Made by `defineJob`; shared by those who add jobs and those who run them. */
export interface JobDefinition<
  Input = unknown,
  Data = unknown,
  Returned = unknown,
  Output = unknown,
  Progress = unknown,
> {
  readonly name: string
  readonly queue: string
  readonly input: StandardSchemaV1<Input, Data>
  readonly output: StandardSchemaV1<Returned, Output> | undefined
  readonly progress: StandardSchemaV1<Progress> | undefined
  readonly settings: JobSettings
  /** What travels: which job, and which run of it. */
  readonly message: MessageDefinition<JobMessage, JobMessage>
}

/** What a message of a job carries. Everything else is in the store. */
export interface JobMessage {
  readonly job: string
  readonly run: number
}

const nameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$/,
    'expected 1 to 48 letters, digits, "_" or "-", starting with a letter or digit',
  )

export const removeAfterSchema = z.strictObject({
  age: durationOption().optional(),
  count: z.int().min(0).optional(),
})

export const prioritySchema = z.int().min(0).max(9)

const schemaSchema = z.custom<StandardSchemaV1>(
  (value) =>
    (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value,
  'expected a schema, such as z.object({ … })',
)

interface ParsedRateLimit {
  readonly max: number
  /** Milliseconds. */
  readonly per: number
  readonly store?: RateLimitStore
}

const optionsSchema = z.strictObject({
  name: nameSchema,
  input: schemaSchema,
  output: schemaSchema.optional(),
  progress: schemaSchema.optional(),
  queue: nameSchema.optional(),
  retry: partialRetrySchema().default({}),
  timeout: durationOption({ min: 1 }).optional(),
  concurrency: z.int().min(1).max(10_000).optional(),
  globalConcurrency: z.int().min(1).max(10_000).optional(),
  rateLimit: z
    .strictObject({
      max: z.int().min(1).max(1_000_000),
      per: durationOption({ min: 1 }),
      store: z
        .custom<RateLimitStore>(
          (value) => typeof value === 'object' && value !== null && 'take' in value,
          'expected a rate limit store: an object with take',
        )
        .optional(),
    })
    .transform(({ store, ...rate }): ParsedRateLimit => (store === undefined ? rate : { ...rate, store }))
    .optional(),
  priority: prioritySchema.default(4),
  removeAfter: removeAfterSchema.default({}),
})

/** The options of a definition, parsed; times in milliseconds. */
export type JobSettings = Omit<
  z.output<typeof optionsSchema>,
  'name' | 'input' | 'output' | 'progress' | 'queue'
>

const messageSchema = z.object({ job: z.string(), run: z.int() })

/** The message of a job, as any process knows it that knows queue and name. */
export function jobMessage(queue: string, name: string): MessageDefinition<JobMessage, JobMessage> {
  const topic = defineTopic(jobTopic(queue), { groups: [workerGroup] })
  return defineMessage(topic, `job.${name}`, { schema: messageSchema })
}

/** The name of a queue's topic. */
export function jobTopic(queue: string): string {
  return `jobs.${queue}`
}

/** The group of all workers of a queue. */
export const workerGroup = 'workers'

/**
 * Defines a kind of job. It touches neither broker nor store.
 *
 * ```ts
 * export const RenderInvoice = defineJob('render-invoice', {
 *   input: z.object({ invoiceId: z.string() }),
 *   output: z.object({ url: z.string() }),
 *   progress: z.number(),
 *   retry: { attempts: 5, backoff: exponential({ initial: '2s' }) },
 *   timeout: '5m',
 * })
 * ```
 *
 * @throws {ConfigurationError} listing every problem.
 */
export function defineJob<
  Input extends StandardSchemaV1,
  Output extends StandardSchemaV1 = StandardSchemaV1,
  Progress extends StandardSchemaV1 = StandardSchemaV1,
>(
  name: string,
  options: JobOptions<Input, Output, Progress>,
): JobDefinition<
  StandardSchemaV1.InferInput<Input>,
  StandardSchemaV1.InferOutput<Input>,
  StandardSchemaV1.InferInput<Output>,
  StandardSchemaV1.InferOutput<Output>,
  StandardSchemaV1.InferInput<Progress>
>
export function defineJob(name: string, options: JobOptions<StandardSchemaV1>): JobDefinition {
  const {
    input,
    output,
    progress,
    queue = name,
    ...settings
  } = parseOptions(optionsSchema, { ...options, name }, `job "${name}"`)
  const message = jobMessage(queue, name)
  return { name, queue, input, output, progress, settings, message }
}

/** @throws {ConfigurationError} when it is no definition. */
export function requireJob(definition: JobDefinition, what: string): void {
  if (
    typeof definition === 'object' &&
    definition !== null &&
    'message' in definition &&
    'settings' in definition
  )
    return
  const hint = definition === undefined ? '; a circle of imports leaves undefined' : ''
  throw new ConfigurationError(what, [
    { path: 'definition', message: `expected a job made by defineJob()${hint}` },
  ])
}
