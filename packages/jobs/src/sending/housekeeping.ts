import type { JobBook } from '../book/job-book.ts'
import type { JobDefinition } from '../definition.ts'
import type { JobState } from '../job.ts'
import type { ScheduleBook } from '../schedules/schedule-book.ts'

const cleanEveryMs = 30_000
const batchSize = 500

const keptStates = ['completed', 'failed', 'cancelled'] as const satisfies readonly JobState[]

/** Lets schedules run, takes jobs from workers that died, and removes what is kept no longer. */
export class Housekeeping {
  readonly #book: JobBook
  readonly #schedules: ScheduleBook
  readonly #definitions = new Map<string, JobDefinition>()
  #cleanedAt: number

  constructor(book: JobBook, schedules: ScheduleBook) {
    this.#book = book
    this.#schedules = schedules
    this.#cleanedAt = book.store.clock.monotonic()
  }

  know(definition: JobDefinition): void {
    this.#definitions.set(definition.name, definition)
  }

  /** Does what is due; resolves with whether there is more at once. */
  async turn(): Promise<boolean> {
    const { store } = this.#book
    const next = await store.nextSweepAt()
    const isDue = next !== undefined && next <= store.clock.now()
    const hasMoreRuns = isDue && (await this.#schedules.run())
    const hasMoreLost = isDue && (await this.#book.recover(batchSize)) === batchSize
    const hasMoreOld = await this.#clean()
    return hasMoreRuns || hasMoreLost || hasMoreOld
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
