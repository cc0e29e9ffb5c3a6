import type { Bus, Consumer, WorkerHealth } from '@waybill/core'
import { type Clock, parseOptions, systemClock } from '@waybill/core/driver'
import { type BridgeCounts, type BridgeStats, statsOf } from './counts.ts'
import { untilDrained } from './drained.ts'
import { type BridgeCloseOptions, closeSchema, type DrainedOptions, drainedSchema } from './options.ts'
import type { Passage } from './passage.ts'
import type { BridgedTopic } from './topics.ts'

/** One topic under way. */
export interface Lane extends BridgedTopic {
  readonly counts: BridgeCounts
  readonly passage: Passage
  readonly consumer: Consumer
}

export interface BridgeParts {
  readonly from: Bus
  readonly to: Bus
  readonly group: string
  readonly lanes: readonly Lane[]
  readonly clock?: Clock
}

/**
 * A bridge that moves messages. Made by `openBridge`.
 *
 * @example
 * await using bridge = await openBridge({ from: 'redis://localhost', to: 'kafka://localhost', topics: ['orders'] })
 * await bridge.drained()
 */
export class Bridge implements AsyncDisposable {
  readonly #from: Bus
  readonly #to: Bus
  readonly #group: string
  readonly #lanes: readonly Lane[]
  readonly #clock: Clock
  readonly #closing = new AbortController()
  #closed: Promise<void> | undefined

  /** @internal Made by `openBridge`; the parameters may change in any version. */
  constructor({ from, to, group, lanes, clock = systemClock }: BridgeParts) {
    this.#from = from
    this.#to = to
    this.#group = group
    this.#lanes = lanes
    this.#clock = clock
  }

  /**
   * What was done on each topic, and what waits there.
   *
   * @example
   * for (const { topic, moved, waiting, error } of await bridge.stats()) console.log(topic, moved, waiting, error?.message)
   *
   * @throws {MessagingError} when the source cannot be asked.
   */
  stats(): Promise<readonly BridgeStats[]> {
    return Promise.all(
      this.#lanes.flatMap((lane) => lane.consumer.health().map((health) => this.#statsOf(lane, health))),
    )
  }

  /**
   * Resolves with the figures when nothing waits at the source any more, and nothing has arrived for `quiet` (2 s). What is
   * delayed and not yet due does not count.
   *
   * @example
   * const [{ moved, delayed }] = await bridge.drained({ quiet: '5s' })
   *
   * @throws {ConfigurationError} listing every problem of the options.
   * @throws {MessagingError} `aborted` when the signal fires or the bridge is closed.
   */
  async drained(options: DrainedOptions = {}): Promise<readonly BridgeStats[]> {
    const { quiet, signal } = parseOptions(drainedSchema, options, 'drained options')
    const { signal: closing } = this.#closing
    await untilDrained({
      clock: this.#clock,
      quietMs: quiet,
      signal: signal === undefined ? closing : AbortSignal.any([signal, closing]),
      stats: () => this.#statsOrNone(),
    })
    return this.stats()
  }

  /**
   * Takes nothing new, lets messages on their way get through within `timeout` (10 s), gives the rest back to the source, and
   * closes both connections. Idempotent.
   *
   * @example
   * process.once('SIGTERM', () => bridge.close({ timeout: '20s' }))
   *
   * @throws {ConfigurationError} listing every problem of the options.
   */
  async close(options: BridgeCloseOptions = {}): Promise<void> {
    const { timeout } = parseOptions(closeSchema, options, 'close options')
    this.#closed ??= this.#close(timeout)
    await this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#lanes.map(({ consumer }) => consumer.stop({ timeout: timeoutMs })))
    // What is still on its way has gone back to the source.
    await Promise.all([this.#to.close({ timeout: 0 }), this.#from.close({ timeout: 0 })])
  }

  /** A source that is away for a while is not drained. */
  async #statsOrNone(): Promise<readonly BridgeStats[] | undefined> {
    try {
      return await this.stats()
    } catch {
      return undefined
    }
  }

  async #statsOf({ from, counts, passage }: Lane, health: WorkerHealth): Promise<BridgeStats> {
    const nothing = { waiting: undefined, inFlight: undefined, delayed: undefined }
    const figures = this.#from.capabilities.stats
      ? await this.#from.group(from, this.#group).stats()
      : nothing
    return statsOf(counts, health, figures, passage.trouble)
  }
}
