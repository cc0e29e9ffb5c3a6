import { memoryRateLimitStore, type RateLimitStore } from '@waybill/core'
import { type Clock, MessagingError, sleep } from '@waybill/core/driver'
import { type JobDefinition, workerGroup } from '../definition.ts'
import { Slots } from './slots.ts'
import { storeBackoff } from './store-backoff.ts'

export interface LimitsHost {
  readonly clock: Clock
  failed(what: string, error: unknown): void
}

// A store that has not answered by then is taken for one that is away.
const answerWithinMs = 10_000

/** What a definition allows in a worker that takes its jobs from the store: how many run at once, and how many begin in a while. */
export class Limits {
  readonly #definition: JobDefinition
  readonly #host: LimitsHost
  readonly #slots: Slots
  readonly #rates: RateLimitStore
  /** Fires for those who wait now. */
  #over = new AbortController()
  #waiting = 0
  /** They ask in turn, so that few ask in vain. */
  #line: Promise<unknown> = Promise.resolve()

  constructor(definition: JobDefinition, host: LimitsHost) {
    this.#definition = definition
    this.#host = host
    const { concurrency = Number.POSITIVE_INFINITY, rateLimit } = definition.settings
    this.#slots = new Slots(concurrency)
    this.#rates = rateLimit?.store ?? memoryRateLimitStore({ clock: host.clock })
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#waiting
  }

  /** Resolves when a job may begin; `leave` is owed then. False: it was turned away. */
  async enter(): Promise<boolean> {
    this.#waiting += 1
    const mayBegin = await this.#enter()
    this.#waiting -= 1
    return mayBegin
  }

  async #enter(): Promise<boolean> {
    const over = this.#over.signal
    if (!(await this.#slots.enter())) return false
    const turn = this.#line.then(() => this.#pass(over))
    this.#line = turn
    if (await turn) return true
    this.#slots.leave()
    return false
  }

  leave(): void {
    this.#slots.leave()
  }

  /** Turns away everybody who waits. */
  turnAway(): void {
    this.#over.abort()
    this.#over = new AbortController()
    this.#slots.turnAway()
  }

  async #pass(over: AbortSignal): Promise<boolean> {
    for (let failures = 0; !over.aborted; ) {
      let waitMs: number
      try {
        waitMs = await this.#take(over)
        failures = 0
      } catch (error) {
        failures += 1
        waitMs = storeBackoff(failures)
        this.#host.failed(`asking the rate limit store of ${this.#definition.name}`, error)
      }
      if (waitMs <= 0) return !over.aborted
      await sleep(this.#host.clock, waitMs, over)
    }
    return false
  }

  /** 0, or in how many milliseconds to ask again. */
  async #take(over: AbortSignal): Promise<number> {
    const { message, settings } = this.#definition
    if (settings.rateLimit === undefined) return 0
    const { max, per } = settings.rateLimit
    // The same as that of consumers, with whom a store may be shared.
    const name = `${message.topic.name} ${workerGroup} ${message.type}`
    const answered = new AbortController()
    const asked = Promise.resolve(this.#rates.take({ name, key: '', max, perMs: per }))
    const answer = () => answered.abort()
    asked.then(answer, answer)
    // Nobody waits for an answer that is no longer of use.
    await sleep(this.#host.clock, answerWithinMs, AbortSignal.any([answered.signal, over]))
    if (over.aborted) return 0
    if (!answered.signal.aborted)
      throw new MessagingError('timeout', `The rate limit store has not answered within ${answerWithinMs} ms`)
    const waitMs: unknown = await asked
    if (typeof waitMs === 'number' && !Number.isNaN(waitMs)) return waitMs
    const what = `The rate limit store answered ${String(waitMs)} instead of a number of milliseconds`
    throw new MessagingError('failed', what)
  }
}
