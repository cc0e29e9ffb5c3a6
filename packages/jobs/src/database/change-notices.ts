import { systemClock } from '@waybill/core/driver'
import type { Queries } from '@waybill/database'

const everyMs = 20

/**
 * Tells other processes that something has changed: at once, and of what follows within a moment once. Not within the transactions
 * that change it: those that notify commit one after the other, and each wakes everybody.
 */
export class ChangeNotices {
  readonly #database: Queries
  /** The statement; undefined: the database cannot. */
  readonly #notify: string | undefined
  #isResting = false
  #isUntold = false

  constructor(database: Queries, notify: string | undefined) {
    this.#database = database
    this.#notify = notify
  }

  tell(): void {
    if (this.#notify === undefined) return
    if (this.#isResting) {
      this.#isUntold = true
      return
    }
    this.#isResting = true
    this.#isUntold = false
    // Who misses one looks without being told a little later.
    const told = this.#database.query(this.#notify).catch(() => {})
    void told.then(() => systemClock.after(everyMs, () => this.#rested()))
  }

  #rested(): void {
    this.#isResting = false
    if (this.#isUntold) this.tell()
  }
}
