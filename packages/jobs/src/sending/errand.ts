import { exponential, MessagingError } from '@waybill/core'
import { sleep, toMessagingError } from '@waybill/core/driver'
import { Change, within } from '@waybill/core/driver-kit'
import type { JobStore } from '../store.ts'

export interface ErrandHost {
  readonly store: JobStore
  /** How often it is done without a cause. */
  readonly pollMs: number
  /** For messages: what is being done. */
  readonly what: string
  /** Does what is due; resolves with whether there is more at once. */
  turn(): Promise<boolean>
  /** When something is due; undefined: nothing is. */
  nextAt(): Promise<number | undefined>
  failed(what: string, error: unknown): void
}

const crowdedMs = 100

// Of changes that come in crowds one look is enough.
const restMs = 10
const backoff = exponential({ initial: 200, max: 10_000 })

// A store or a bus that has not answered by then is taken for one that is away.
const answerWithinMs = 30_000
const stopWithinMs = 10_000

/** Something that is done again and again: when somebody wakes it, when it is due, and now and then. */
export class Errand {
  readonly #host: ErrandHost
  readonly #woken = new Change()
  readonly #over = new AbortController()
  #isDue = true
  #error: MessagingError | undefined
  /** Since when it has waited for answers. */
  #busySince: number | undefined
  #running: Promise<void> | undefined

  constructor(host: ErrandHost) {
    this.#host = host
  }

  get isOver(): boolean {
    return this.#over.signal.aborted
  }

  /** Why it does not get on. */
  get error(): MessagingError | undefined {
    const busyMs = this.#host.store.clock.monotonic() - (this.#busySince ?? Number.POSITIVE_INFINITY)
    if (busyMs < answerWithinMs) return this.#error
    const what = `There has been no answer for ${Math.round(busyMs / 1000)} s`
    return new MessagingError('timeout', `${what}: ${this.#host.what}`, { retryable: true })
  }

  start(): void {
    if (this.isOver) return
    this.#running ??= this.#run()
    this.wake()
  }

  wake(): void {
    this.#isDue = true
    this.#woken.notify()
  }

  /** Resolves when it has ended, or whoever it asks has had time enough to answer. */
  async stop(): Promise<void> {
    this.#over.abort()
    if (this.#running !== undefined) await within(this.#host.store.clock, stopWithinMs, this.#running)
  }

  async #run(): Promise<void> {
    const { store, what, failed } = this.#host
    const { clock } = store
    const over = this.#over.signal
    const forget = store.onChange(() => this.wake())
    for (let failures = 0; !over.aborted; ) {
      this.#isDue = false
      this.#busySince = clock.monotonic()
      try {
        const hasMore = await this.#host.turn()
        const waitMs = hasMore || this.#isDue ? 0 : await this.#waitMs()
        failures = 0
        this.#error = undefined
        this.#busySince = undefined
        if (hasMore) continue
        await this.#pause(waitMs)
        // A store that tells of everything needs no rest, and tests that stop its clock get none.
        if (!store.tellsAll) await sleep(clock, restMs, over)
      } catch (error) {
        failures += 1
        this.#error = toMessagingError(error, `Failed: ${what}`, { retryable: true })
        this.#busySince = undefined
        if (!over.aborted) failed(what, error)
        await sleep(clock, backoff(failures), over)
      }
    }
    forget()
  }

  async #waitMs(): Promise<number> {
    const { store, pollMs, nextAt } = this.#host
    const dueMs = ((await nextAt()) ?? Number.POSITIVE_INFINITY) - store.clock.now()
    // What is due already came in between, or there is no room for it.
    return Math.min(pollMs, dueMs > 0 ? dueMs : crowdedMs)
  }

  /** Until somebody wakes it, or so long. */
  async #pause(waitMs: number): Promise<void> {
    if (this.#isDue) return
    const waiting = new AbortController()
    const signal = AbortSignal.any([waiting.signal, this.#over.signal])
    await Promise.race([sleep(this.#host.store.clock, waitMs, signal), this.#woken.next(signal)])
    waiting.abort()
  }
}
