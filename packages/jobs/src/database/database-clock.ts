import { type Clock, systemClock } from '@waybill/core/driver'
import type { Database } from '@waybill/database'

const askEveryMs = 60_000

/** The clock of the database, so that all processes agree on moments. It is asked once a minute. */
export class DatabaseClock implements Clock {
  readonly #database: Database
  #epochMs: number | undefined
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(database: Database) {
    this.#database = database
  }

  /** To be awaited before `now` is used. */
  async ready(): Promise<void> {
    if (systemClock.monotonic() - this.#askedAt < askEveryMs) return
    const { dialect } = this.#database
    const before = systemClock.monotonic()
    const [row] = await this.#database.query<{ now_ms: number | string }>(
      `SELECT ${dialect.epochMs(dialect.now)} AS now_ms`,
    )
    const after = systemClock.monotonic()
    this.#askedAt = after
    this.#epochMs = Number(row?.now_ms) - (before + after) / 2
  }

  now(): number {
    return Math.floor(
      this.#epochMs === undefined ? systemClock.now() : this.#epochMs + systemClock.monotonic(),
    )
  }

  monotonic(): number {
    return systemClock.monotonic()
  }

  after(...parameters: Parameters<Clock['after']>): () => void {
    return systemClock.after(...parameters)
  }
}
