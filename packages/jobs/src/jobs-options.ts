import type { Bus, Duration } from '@waybill/core'
import { durationOption } from '@waybill/core/driver-kit'
import type { Transaction } from '@waybill/database'
import { z } from 'zod'
import { prioritySchema } from './definition.ts'
import { type JobState, jobStates } from './job.ts'
import type { JobStore } from './store.ts'

export interface JobsOptions {
  /** Carries the messages of all queues that `buses` does not name. Without it workers take those jobs from the store. */
  readonly bus?: Bus
  /** `databaseJobStore(database)`, or `memoryJobStore()` for tests. */
  readonly store: JobStore
  /** Queues that go over other brokers. Default: none. */
  readonly buses?: Readonly<Record<string, Bus>>
  /** How often the store is looked at without a cause, at least 10 ms. Default: `1s`. */
  readonly poll?: Duration
  /**
   * When a message is sent again for a job that no worker has taken, at least 1 s: the broker has lost it, or its queue is long.
   * Workers ignore what they have seen. Default: `1m`.
   */
  readonly resendAfter?: Duration
  /**
   * About how many jobs of a queue have a message at the broker at most; the others wait in the store, where they are sorted by priority. A
   * small window lets urgent jobs pass, a large one keeps more workers busy; 1 to 100,000. Default: 1000.
   */
  readonly window?: number
  /** Told of what failed in the background and is tried again. Default: a process warning. */
  readonly onFailure?: (what: string, error: Error) => void
}

const busSchema = z.custom<Bus>(
  (value) => typeof value === 'object' && value !== null && 'producer' in value,
  'expected a bus',
)

export const jobsSchema = z.strictObject({
  bus: busSchema.optional(),
  store: z.custom<JobStore>(
    (value) => typeof value === 'object' && value !== null && 'transaction' in value && 'clock' in value,
    'expected a job store, such as databaseJobStore(database)',
  ),
  buses: z.record(z.string(), busSchema).default({}),
  poll: durationOption({ min: 10 }).default(1000),
  resendAfter: durationOption({ min: 1000 }).default(60_000),
  window: z.int().min(1).max(100_000).default(1000),
  onFailure: z
    .custom<NonNullable<JobsOptions['onFailure']>>((value) => typeof value === 'function')
    .optional(),
})

export interface Deduplicate {
  /** Jobs of a definition with the same key are the same. */
  readonly key: string
  /**
   * What becomes of a job whose key another holds. `ignore`: while that one waits or runs, nothing is added. `replace`: one that
   * waits gets the new data, delay and priority; while one runs, the new one is added. `debounce`: like `replace`, and it runs
   * `window` after the last. `throttle`: nothing is added within `window` of the one before, nor while that one waits or runs. Default:
   * `ignore`.
   */
  readonly mode?: 'ignore' | 'replace' | 'debounce' | 'throttle'
  /** For `debounce` and `throttle`. */
  readonly window?: Duration
}

export interface AddOptions {
  /**
   * Of the job; adding it again gives the one that is there. Ids are of all jobs of a store, so put the name into it: `mail:o-1`.
   * Default: a new UUIDv7.
   */
  readonly id?: string
  /** How long until it runs. Default: none. */
  readonly delay?: Duration
  /** 0 (lowest) to 9. Default: the definition's. */
  readonly priority?: number
  /** How many it gets, instead of the definition's; 1 to 10,000. */
  readonly attempts?: number
  /** A key alone means `{ key, mode: 'ignore' }`. Default: none. */
  readonly deduplicate?: string | Deduplicate
  /** How long it is kept once it has ended, instead of the definition's `removeAfter.age`. */
  readonly removeAfter?: Duration
  /** A transaction of the store's database: the job is there once it has committed, or never. */
  readonly transaction?: Transaction
}

/** Of a message that is sent later. */
export type SendLaterOptions = Pick<AddOptions, 'id' | 'delay' | 'transaction'>

const idSchema = z
  .string()
  .min(1)
  .max(200)
  .refine((id) => !id.includes('\0'), 'has the character NUL, which cannot be stored')
  .refine(
    (id) => !/\p{Surrogate}/u.test(id),
    'has half a character (a lone surrogate), which cannot be stored',
  )

const deduplicateSchema = z.preprocess(
  (value) => (typeof value === 'string' ? { key: value } : value),
  z
    .strictObject({
      key: idSchema,
      mode: z.enum(['ignore', 'replace', 'debounce', 'throttle']).default('ignore'),
      window: durationOption({ min: 1 }).optional(),
    })
    .refine(({ mode, window }) => window !== undefined || (mode !== 'debounce' && mode !== 'throttle'), {
      path: ['window'],
      message: 'debounce and throttle need a window',
    }),
)

export const addSchema = z.strictObject({
  id: idSchema.optional(),
  delay: durationOption().default(0),
  priority: prioritySchema.optional(),
  attempts: z.int().min(1).max(10_000).optional(),
  deduplicate: deduplicateSchema.optional(),
  removeAfter: durationOption().optional(),
  transaction: z
    .custom<Transaction>(
      (value) => typeof value === 'object' && value !== null && 'query' in value,
      'expected a transaction, an object with query',
    )
    .optional(),
})

export const sendSchema = addSchema.pick({ id: true, delay: true, transaction: true })

export const updateSchema = z.strictObject({
  data: z.unknown().optional(),
  delay: durationOption().optional(),
  priority: prioritySchema.optional(),
})

export interface JobListFilter {
  /** Of definitions. Default: all. */
  readonly name?: string
  readonly queue?: string
  readonly state?: JobState | readonly JobState[]
  /** Only children of this job. */
  readonly parent?: string
}

export interface JobListOptions extends JobListFilter {
  /** 1 to 1000. Default: 100. */
  readonly limit?: number
  /** The `next` of the page before. */
  readonly after?: string
}

const stateSchema = z.enum(jobStates)

export const filterFields = {
  name: z.string().optional(),
  queue: z.string().optional(),
  state: z
    .union([stateSchema.transform((state): readonly JobState[] => [state]), z.array(stateSchema)])
    .optional(),
  parent: z.string().optional(),
}

export const listSchema = z.strictObject({
  ...filterFields,
  limit: z.int().min(1).max(1000).default(100),
  after: z
    .string()
    .regex(/^\d{1,15}:./s, 'expected the next of a page')
    .transform((text) => {
      const [at = '', id = ''] = text.split(/:(.*)/s)
      return { at: Number(at), id }
    })
    .optional(),
})

export const countsSchema = z.strictObject({ name: z.string().optional(), queue: z.string().optional() })

export const retryAllSchema = z.strictObject({
  ...filterFields,
  state: z.enum(['failed', 'cancelled']).default('failed'),
})
