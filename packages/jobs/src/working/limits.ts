import { memoryRateLimitStore, type RateLimitStore } from '@waybill/core'
import { type Clock, MessagingError, sleep } from '@waybill/core/driver'
import { within } from '@waybill/core/driver-kit'
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
  readonly #over = new AbortController()
  /** They ask in turn, so that few ask in vain. */
  #line: Promise<unknown> = Promise.resolve()

  constructor(definition: JobDefinition, host: LimitsHost) {
    this.#definition = definition
    this.#host = host
    const { concurrency = Number.POSITIVE_INFINITY, rateLimit } = definition.settings
    this.#slots = new Slots(concurrency)
    this.#rates = rateLimit?.store ?? memoryRateLimitStore({ clock: host.clock })
  }

  /** Resolves when a job may begin; `leave` is owed then. False: none may any more. */
  async enter(): Promise<boolean> {
    if (!(await this.#slots.enter())) return false
    const turn = this.#line.then(() => this.#pass())
    this.#line = turn
    if (await turn) return true
    this.#slots.leave()
    return false
  }

  leave(): void {
    this.#slots.leave()
  }

  end(): void {
    this.#slots.end()
    this.#over.abort()
  }

  async #pass(): Promise<boolean> {
    const over = this.#over.signal
    for (let failures = 0; !over.aborted; ) {
      let waitMs: number
      try {
        waitMs = await this.#take()
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
  async #take(): Promise<number> {
    const { message, settings } = this.#definition
    if (settings.rateLimit === undefined) return 0
    const { max, per } = settings.rateLimit
    // The same as that of consumers, with whom a store may be shared.
    const name = `${message.topic.name} ${workerGroup} ${message.type}`
    const asked = Promise.resolve(this.#rates.take({ name, key: '', max, perMs: per }))
    if (!(await within(this.#host.clock, answerWithinMs, asked)))
      throw new MessagingError('timeout', `The rate limit store has not answered within ${answerWithinMs} ms`)
    const waitMs: unknown = await asked
    if (typeof waitMs === 'number' && !Number.isNaN(waitMs)) return waitMs
    const what = `The rate limit store answered ${String(waitMs)} instead of a number of milliseconds`
    throw new MessagingError('failed', what)
  }
}
