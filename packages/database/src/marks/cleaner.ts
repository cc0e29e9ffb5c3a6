import type { Host } from '../host.ts'

const batch = 1000

/** Removes expired marks in the background, for as long as the database is open. */
export class Cleaner {
  readonly #host: Host
  #isRunning = false
  #cancel: (() => void) | undefined
  #isOver = false
  #work: Promise<unknown> = Promise.resolve()

  constructor(host: Host) {
    this.#host = host
  }

  /** Begins with the first use; several with one database share the work. */
  start(everyMs: number): void {
    if (this.#isRunning) return
    this.#isRunning = true
    this.#host.beforeClose(() => this.#stop())
    this.#schedule(everyMs)
  }

  /** Removes what has expired now; resolves with how many marks that was. */
  async clean(): Promise<number> {
    const { table, now, lockingFree } = this.#host.dialect
    let removed = 0
    for (;;) {
      const rows = await this.#host.query(
        `WITH expired AS MATERIALIZED (SELECT mark FROM ${table('marks')} WHERE expires_at <= ${now} ORDER BY expires_at LIMIT ${batch} ${lockingFree})
DELETE FROM ${table('marks')} WHERE mark IN (SELECT mark FROM expired) RETURNING 1 AS one`,
      )
      removed += rows.length
      if (rows.length < batch || this.#isOver) return removed
    }
  }

  #schedule(everyMs: number): void {
    // Processes that were started together do not clean together.
    const delayMs = everyMs * (0.5 + Math.random())
    this.#cancel = this.#host.clock.after(
      delayMs,
      () => {
        this.#work = this.clean()
          .catch((error: unknown) => {
            const what = 'removing expired marks'
            if (!this.#isOver) this.#host.events.fail(what, this.#host.failed(error, what))
          })
          .then(() => {
            if (!this.#isOver) this.#schedule(everyMs)
          })
      },
      { background: true },
    )
  }

  async #stop(): Promise<void> {
    this.#isOver = true
    this.#cancel?.()
    await this.#work
  }
}
