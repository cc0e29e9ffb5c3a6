import { exponential, type MessagingError } from '@waybill/core'
import { toMessagingError } from '@waybill/core/driver'
import type { JobBook } from '../book/job-book.ts'
import type { JobDefinition } from '../definition.ts'
import type { JobState } from '../job.ts'
import type { ScheduleBook } from '../schedules/schedule-book.ts'

const cleanEveryMs = 30_000
const batchSize = 500

const backoff = exponential({ initial: 200, max: 10_000 })

const keptStates = ['completed', 'failed', 'cancelled'] as const satisfies readonly JobState[]

/** Lets schedules run, takes jobs from workers that died, and removes what is kept no longer. */
export class Housekeeping {
  readonly #book: JobBook
  readonly #schedules: ScheduleBook
  readonly #definitions = new Map<string, JobDefinition>()
  readonly #failed: (what: string, error: unknown) => void
  #cleanedAt: number
  #error: MessagingError | undefined
  /** How often schedules could not run in a row, and when they are tried again. */
  #failures = 0
  #againAt = Number.NEGATIVE_INFINITY

  constructor(book: JobBook, schedules: ScheduleBook, failed: (what: string, error: unknown) => void) {
    this.#book = book
    this.#schedules = schedules
    this.#failed = failed
    this.#cleanedAt = book.store.clock.monotonic()
  }

  /** Why schedules do not run. */
  get error(): MessagingError | undefined {
    return this.#error
  }

  know(definition: JobDefinition): void {
    this.#definitions.set(definition.name, definition)
  }

  /** Does what is due; resolves with whether there is more at once. */
  async turn(): Promise<boolean> {
    const { store } = this.#book
    const next = await store.nextSweepAt()
    const isDue = next !== undefined && next <= store.clock.now()
    const hasMoreRuns = isDue && (await this.#runSchedules())
    const hasMoreLost = isDue && (await this.#book.recover(batchSize)) === batchSize
    const hasMoreOld = await this.#clean()
    return hasMoreRuns || hasMoreLost || hasMoreOld
  }

  /** What keeps them from adding jobs, such as a store that is full, keeps nothing else from being done. */
  async #runSchedules(): Promise<boolean> {
    const { clock } = this.#book.store
    if (clock.monotonic() < this.#againAt) return false
    try {
      const hasMore = await this.#schedules.run()
      this.#failures = 0
      this.#error = undefined
      return hasMore
    } catch (error) {
      const what = 'running schedules'
      this.#failures += 1
      this.#againAt = clock.monotonic() + backoff(this.#failures)
      this.#error = toMessagingError(error, `Failed: ${what}`, { retryable: true })
      this.#failed(what, error)
      return false
    }
  }

  /** So much at a turn, since what is due does not wait for what is over. Resolves with whether there is more. */
  async #clean(): Promise<boolean> {
    const { store } = this.#book
    const now = store.clock.monotonic()
    if (now - this.#cleanedAt < cleanEveryMs) return false
    this.#cleanedAt = now
    let hasMore = (await store.removeExpired(batchSize)) >= batchSize
    for (const { name, settings } of this.#definitions.values()) {
      const { count } = settings.removeAfter
      if (count === undefined) continue
      for (const state of keptStates)
        if ((await store.removeBeyond(name, state, count, batchSize)) >= batchSize) hasMore = true
    }
    if (hasMore) this.#cleanedAt = now - cleanEveryMs
    return hasMore
  }
}
