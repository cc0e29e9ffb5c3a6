import { type Bus, exponential } from '@waybill/core'
import { sleep } from '@waybill/core/driver'
import { Change } from '@waybill/core/driver-kit'
import { HandOut, type HandOutHost } from './hand-out.ts'
import { JobSender, type JobSenderHost } from './job-sender.ts'

export interface DispatcherHost extends JobSenderHost, HandOutHost {
  readonly pollMs: number
  /** Undefined: its jobs are taken from the store. */
  busOf(queue: string): Bus | undefined
  /** What is done at each turn besides. Resolves with whether there is more at once. */
  sweep(): Promise<boolean>
}

const crowdedMs = 100

// Of changes that come in crowds one look is enough.
const restMs = 10
const backoff = exponential({ initial: 200, max: 10_000 })

/**
 * Gets the jobs that are due to workers, by messages or from the store, and takes care of those whose workers have died. Any number
 * run, in any processes.
 */
export class Dispatcher {
  readonly #host: DispatcherHost
  /** With how many jobs of each may run. */
  readonly #queues = new Map<string, number | undefined>()
  readonly #sender: JobSender
  readonly #handOut: HandOut
  readonly #woken = new Change()
  readonly #over = new AbortController()
  #isDue = true
  #lookedForLostAt = Number.NEGATIVE_INFINITY
  #running: Promise<void> | undefined

  constructor(host: DispatcherHost) {
    this.#host = host
    this.#sender = new JobSender(host)
    this.#handOut = new HandOut(host)
  }

  /** From now on workers get what is due in the queue, while no more than so many of it run. */
  serve(queue: string, mostRunning?: number): void {
    const limits = [mostRunning, this.#queues.get(queue)].filter((each) => each !== undefined)
    this.#queues.set(queue, limits.length === 0 ? undefined : Math.min(...limits))
    this.start()
  }

  start(): void {
    if (this.#over.signal.aborted) return
    this.#running ??= this.#run()
    this.wake()
  }

  wake(): void {
    this.#isDue = true
    this.#woken.notify()
  }

  async stop(): Promise<void> {
    this.#over.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock } = this.#host.book.store
    const over = this.#over.signal
    const forget = this.#host.book.store.onChange(() => this.wake())
    for (let failures = 0; !over.aborted; ) {
      this.#isDue = false
      try {
        const hasMore = await this.#turn()
        failures = 0
        if (hasMore) continue
        await this.#pause()
        // A store that tells of everything needs no rest, and tests that stop its clock get none.
        if (!this.#host.book.store.tellsAll) await sleep(clock, restMs, over)
      } catch (error) {
        failures += 1
        if (!over.aborted) this.#host.failed('sending jobs', error)
        await sleep(clock, backoff(failures), over)
      }
    }
    forget()
  }

  async #turn(): Promise<boolean> {
    let hasMore = await this.#host.sweep()
    const { book, pollMs } = this.#host
    const now = book.store.clock.monotonic()
    const looksForLost = book.store.tellsAll || now - this.#lookedForLostAt >= pollMs
    if (looksForLost) this.#lookedForLostAt = now
    for (const [queue, mostRunning] of this.#queues) {
      if (this.#over.signal.aborted) return false
      const bus = this.#host.busOf(queue)
      const turn = { queue, mostRunning, looksForLost }
      const hasSome = bus === undefined ? await this.#handOut.turn(turn) : await this.#sender.turn(bus, turn)
      hasMore ||= hasSome
    }
    return hasMore
  }

  /** Until somebody wakes it, the next job is due, or it looks without a cause. */
  async #pause(): Promise<void> {
    const { book, pollMs } = this.#host
    const { clock } = book.store
    if (this.#isDue) return
    const moments = [await book.store.nextSendAt(this.#served()), await book.store.nextSweepAt()]
    const next = Math.min(...moments.map((moment) => moment ?? Number.POSITIVE_INFINITY))
    const dueMs = next - clock.now()
    // What is due already came in between, or there is no room for it.
    const waitMs = Math.min(pollMs, dueMs > 0 ? dueMs : crowdedMs)
    if (this.#isDue) return
    const waiting = new AbortController()
    const signal = AbortSignal.any([waiting.signal, this.#over.signal])
    await Promise.race([sleep(clock, waitMs, signal), this.#woken.next(signal)])
    waiting.abort()
  }

  /** Queues whose jobs can go from here. */
  #served(): readonly string[] {
    return [...this.#queues.keys()].filter(
      (queue) => this.#host.busOf(queue) !== undefined || this.#host.takersOf(queue).length > 0,
    )
  }
}
