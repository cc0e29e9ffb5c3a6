import type { MessagingError, WorkerHealth } from '@waybill/core'
import { type JobDefinition, workerGroup } from '../definition.ts'
import type { JobRow } from '../store.ts'
import type { Attempts, Handled } from './attempts.ts'
import { Limits, type LimitsHost } from './limits.ts'
import { Slots } from './slots.ts'
import type { Taker } from './taker.ts'

export interface StoreTakerSettings extends LimitsHost {
  /** What stands for the queue in `health()`. */
  readonly topic: string
  /** Those of the queue, by the names of their definitions. */
  readonly handled: ReadonlyMap<string, Handled>
  readonly attempts: Attempts
  readonly owner: string
  readonly leaseMs: number
  /** How many jobs of the queue run at once. */
  readonly concurrency: number
  /** There may be room for more. */
  wake(): void
  /** Why there is nothing from the store. */
  error(): MessagingError | undefined
}

/** What a worker has of a queue whose jobs it takes from the store: no more than it can run. */
export class StoreTaker implements Taker {
  readonly owner: string
  readonly leaseMs: number
  readonly mayWait: boolean
  readonly most: number
  readonly #settings: StoreTakerSettings
  readonly #names: readonly string[]
  readonly #limits: ReadonlyMap<string, Limits>
  /** Of those that were set aside: they may begin when others have the room. */
  readonly #slots: Slots
  /** Runs that have a place. */
  readonly #placed = new Set<string>()
  /** For how many there has to be a place when the store answers. */
  #asked = 0
  /** A store that did not answer may have begun jobs for this worker all the same. */
  #mayHaveStrays = false
  #strays: Promise<void> | undefined
  /** Since when handlers run, by the clock's monotonic time. */
  readonly #running = new Map<string, number>()
  /** What is to end before the worker has stopped. */
  readonly #underWay = new Set<Promise<unknown>>()
  #state: 'running' | 'paused' | 'stopped' = 'running'

  constructor(settings: StoreTakerSettings) {
    this.#settings = settings
    this.owner = settings.owner
    this.leaseMs = settings.leaseMs
    const definitions = [...settings.handled.values()].map(({ definition }) => definition)
    this.#names = definitions.map(({ name }) => name)
    // Where all jobs have one limit, no more of them are taken than that.
    const [first] = definitions
    const limit = definitions.length === 1 ? first?.settings.concurrency : undefined
    this.most = Math.min(settings.concurrency, limit ?? settings.concurrency)
    this.#slots = new Slots(this.most)
    const limited = definitions.filter((definition) => isLimited(definition, definitions.length))
    this.mayWait = limited.length > 0
    this.#limits = new Map(limited.map((definition) => [definition.name, new Limits(definition, settings)]))
  }

  /** Without those of which enough wait for their turn. */
  get names(): readonly string[] {
    return this.#names.filter((name) => (this.#limits.get(name)?.waiting ?? 0) < this.most)
  }

  /** What waits for its turn takes no room from jobs of other names. */
  room(): number {
    if (this.#state !== 'running' || this.names.length === 0) return 0
    const limits = this.#names.length > 1 ? [...this.#limits.values()] : []
    const waiting = limits.reduce((sum, each) => sum + each.waiting, 0)
    return Math.max(0, this.most - this.#placed.size - this.#asked + waiting)
  }

  async receive(most: number, ask: () => Promise<readonly JobRow[]>): Promise<number> {
    // While others are under way, their jobs would seem to be strays.
    if (this.#mayHaveStrays && this.#asked === 0) this.#strays ??= this.#giveBackStrays()
    const strays = this.#strays
    let takenAt = 0
    const asked = (async () => {
      await strays
      takenAt = this.#settings.clock.monotonic()
      try {
        return await ask()
      } catch (error) {
        // What is set aside is handed out again, and uses up no attempt.
        this.#mayHaveStrays = !this.mayWait
        throw error
      }
    })()
    this.#underWay.add(asked)
    this.#asked += most
    let jobs: readonly JobRow[]
    try {
      jobs = await asked
    } finally {
      this.#asked -= most
      this.#underWay.delete(asked)
    }
    for (const job of jobs) this.#track(this.#accept(job, takenAt))
    return jobs.length
  }

  pause(): void {
    if (this.#state !== 'running') return
    this.#state = 'paused'
    this.#turnAway()
  }

  resume(): void {
    if (this.#state === 'paused') this.#state = 'running'
  }

  /** Resolves when nothing of it is in hand any more. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#turnAway()
    // What is under way may bring more, which is given back.
    while (this.#underWay.size > 0) await Promise.allSettled([...this.#underWay])
    if (this.#mayHaveStrays) await this.#giveBackStrays().catch(() => {})
  }

  health(): WorkerHealth {
    const oldest = Math.min(...this.#running.values())
    const error = this.#state === 'stopped' ? undefined : this.#settings.error()
    return {
      topic: this.#settings.topic,
      group: workerGroup,
      state: this.#state === 'running' && error !== undefined ? 'recovering' : this.#state,
      ...(error !== undefined && { error }),
      inFlight: this.#placed.size,
      running: this.#running.size,
      ...(this.#running.size > 0 && { oldestRunningMs: this.#settings.clock.monotonic() - oldest }),
    }
  }

  async #accept(job: JobRow, takenAt: number): Promise<void> {
    const { attempts, handled, clock, wake } = this.#settings
    const { id, run, name } = job
    const isTaken = job.state === 'active'
    const place = `${id}:${run}`
    const handler = handled.get(name)
    // One that waits here for long is handed out again.
    if (this.#placed.has(place) || handler === undefined) return
    // Another has room for it.
    if (this.#state !== 'running')
      return isTaken ? await attempts.release(job, takenAt) : await attempts.giveBack({ id, run })
    this.#placed.add(place)
    const limits = this.#limits.get(name)
    const leave = () => {
      this.#placed.delete(place)
      this.#running.delete(place)
      wake()
    }
    if (isTaken) {
      this.#running.set(place, clock.monotonic())
      return await attempts.run(handler, job, takenAt, leave)
    }
    if (!(await this.#enter(limits))) {
      leave()
      return await attempts.giveBack({ id, run })
    }
    this.#running.set(place, clock.monotonic())
    await attempts.begin(handler, { id, run }, () => {
      this.#slots.leave()
      limits?.leave()
      leave()
    })
  }

  /** Resolves when a job that was set aside may begin. False: it was turned away. */
  async #enter(limits: Limits | undefined): Promise<boolean> {
    if (limits !== undefined && !(await limits.enter())) return false
    // Who was turned away in between does not wait for a slot.
    if (this.#state === 'running' && (await this.#slots.enter())) return true
    limits?.leave()
    return false
  }

  async #giveBackStrays(): Promise<void> {
    try {
      for (const name of this.#names) await this.#settings.attempts.giveBackStrays(name)
      this.#mayHaveStrays = false
    } finally {
      this.#strays = undefined
    }
  }

  #turnAway(): void {
    for (const limits of this.#limits.values()) limits.turnAway()
    this.#slots.turnAway()
  }

  #track(work: Promise<unknown>): void {
    const tracked = work
      .catch((error: unknown) => this.#settings.failed('running jobs', error))
      .finally(() => this.#underWay.delete(tracked))
    this.#underWay.add(tracked)
  }
}

function isLimited({ settings }: JobDefinition, among: number): boolean {
  return settings.rateLimit !== undefined || (settings.concurrency !== undefined && among > 1)
}
