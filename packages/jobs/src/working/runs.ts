import { MessagingError, sleep } from '@waybill/core/driver'
import { Change, within } from '@waybill/core/driver-kit'
import type { JobBook, Run } from '../book/job-book.ts'
import type { LiveRun } from './live-run.ts'
import { storeBackoff } from './store-backoff.ts'

const lookEveryMs = 1000
const noteEveryMs = 100

export interface RunsHost {
  readonly book: JobBook
  readonly owner: string
  readonly leaseMs: number
  failed(what: string, error: unknown): void
  /** What a handler told, as JSON; undefined if there is nothing that could be stored. */
  progressText(run: LiveRun, value: unknown): Promise<string | undefined>
}

/** The jobs that a worker runs: renews their leases, stores what they tell, and learns which were cancelled or lost. */
export class Runs {
  readonly #host: RunsHost
  readonly #live = new Map<string, LiveRun>()
  readonly #added = new Change()
  readonly #news = new Change()
  readonly #over = new AbortController()
  #renewedAt = 0
  #asking: Promise<void> | undefined
  #isWatching = false

  constructor(host: RunsHost) {
    this.#host = host
    this.#renewedAt = host.book.store.clock.monotonic()
  }

  get all(): readonly LiveRun[] {
    return [...this.#live.values()]
  }

  has({ id, run }: Run): boolean {
    return this.#live.get(id)?.run === run
  }

  add(run: LiveRun): void {
    // The worker has it anew: it stood still until the lease of the run before was over.
    const before = this.#live.get(run.id)
    if (before !== undefined) this.#lose(before)
    this.#live.set(run.id, run)
    this.#added.notify()
    if (this.#isWatching) return
    this.#isWatching = true
    void this.#keep()
    void this.#tell()
  }

  remove(run: LiveRun): void {
    if (this.#live.get(run.id) === run) this.#live.delete(run.id)
  }

  /** Something can be stored. */
  notify(): void {
    this.#news.notify()
  }

  end(): void {
    this.#over.abort()
  }

  async #keep(): Promise<void> {
    const { book, leaseMs } = this.#host
    const { clock } = book.store
    const over = this.#over.signal
    const changed = new Change()
    const forget = book.store.onChange(() => changed.notify())
    const everyMs = Math.min(lookEveryMs, leaseMs / 3)
    while (await this.#added.until(() => this.#live.size > 0, over)) {
      const waiting = new AbortController()
      const signal = AbortSignal.any([waiting.signal, over])
      await Promise.race([sleep(clock, everyMs, signal), changed.next(signal)])
      waiting.abort()
      if (!over.aborted && this.#live.size > 0) await this.#look()
      // Changes come in crowds.
      await sleep(clock, Math.min(50, everyMs), over)
    }
    forget()
  }

  async #look(): Promise<void> {
    const { book, leaseMs } = this.#host
    const { clock } = book.store
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    // Leases run out whether the store answers or not.
    await within(clock, leaseMs / 10, this.#asking)
    for (const run of this.all) if (clock.monotonic() >= run.leaseEnd) this.#lose(run)
  }

  async #ask(): Promise<void> {
    const { book, owner, leaseMs } = this.#host
    const { clock } = book.store
    const runs = this.all
    const ids = runs.map(({ id }) => id)
    const startedAt = clock.monotonic()
    const isRenewal = startedAt - this.#renewedAt >= leaseMs / 3
    try {
      const mine = isRenewal
        ? await book.store.renew(owner, ids, leaseMs)
        : await book.store.owned(owner, ids)
      if (isRenewal) this.#renewedAt = startedAt
      for (const run of runs) {
        if (!mine.has(run.id)) this.#lose(run)
        else if (isRenewal) run.leaseEnd = startedAt + leaseMs * 0.9
      }
    } catch (error) {
      this.#host.failed('renewing the leases of jobs', error)
    }
  }

  #lose(run: LiveRun): void {
    if (this.#live.get(run.id) !== run || run.isCompleted || run.isOver) return
    const isLate = this.#host.book.store.clock.monotonic() >= run.leaseEnd
    const what = isLate
      ? `The lease of job ${run.id} ran out before it was renewed: the store did not answer, or this process stood still`
      : `The job ${run.id} was cancelled, or another worker has it`
    const error = new MessagingError('stale', what)
    if (isLate && run.interruption === undefined) this.#host.failed(`running job ${run.id}`, error)
    run.interrupt('lost', error)
  }

  /** At most so often, however much the handlers tell. */
  async #tell(): Promise<void> {
    const { clock } = this.#host.book.store
    const over = this.#over.signal
    for (let failures = 0; !over.aborted; ) {
      await this.#news.until(() => this.all.some(({ hasNews }) => hasNews), over)
      await sleep(clock, noteEveryMs, over)
      const told = this.all.filter(({ hasNews }) => hasNews)
      if (over.aborted || told.length === 0) continue
      const news = told.map((run) => ({ run, ...run.takeNews() }))
      try {
        const notes = await Promise.all(
          news.map(async ({ run, progress, log }) => {
            const text =
              progress === undefined ? undefined : await this.#host.progressText(run, progress.value)
            return { id: run.id, run: run.run, progress: text, log }
          }),
        )
        await this.#host.book.note(notes, this.#host.owner)
      } catch (error) {
        for (const { run, ...untold } of news) run.keepNews(untold)
        this.#host.failed('storing the progress of jobs', error)
        failures += 1
        await sleep(clock, storeBackoff(failures), over)
        continue
      }
      failures = 0
    }
  }
}
