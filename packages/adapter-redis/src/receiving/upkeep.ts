import type { Clock } from '@waybill/core/driver'
import type { Reader } from '../connection/reader.ts'
import type { Settings } from '../options.ts'
import { moveDue } from '../scripts/move-due.ts'
import { Housekeeping } from '../topology/housekeeping.ts'
import type { GroupKeys, TopicKeys } from '../wire/messages.ts'
import { asNumber } from '../wire/reply.ts'

export interface UpkeepSettings {
  readonly reader: Reader
  readonly keys: TopicKeys
  /** Undefined for broadcast, which has no group. */
  readonly group: GroupKeys | undefined
  readonly retention: Settings['retention']
  readonly pollIntervalMs: number
  readonly clock: Clock
}

// Due messages moved in one step, so that a crowd that is due at once does not hold up everybody else.
const moveLimit = 200

/** What consumers do for their topic as they go along, there being nobody else: move what is due, keep house. */
export class Upkeep {
  readonly #settings: UpkeepSettings
  readonly #housekeeping: Housekeeping
  readonly #moveKeys: readonly string[]
  #moveAt = 0

  constructor(settings: UpkeepSettings) {
    const { reader, keys, group } = settings
    this.#settings = settings
    this.#housekeeping = new Housekeeping({ ...settings, run: (...call) => reader.run(...call) })
    this.#moveKeys = [
      keys.delayed,
      ...keys.streams,
      ...(group === undefined ? [] : [group.delayed, ...group.own]),
    ]
  }

  /** Undefined when nothing is due. */
  run(): Promise<unknown> | undefined {
    const now = this.#settings.clock.now()
    if (now < this.#moveAt) return undefined
    const tidied = this.#housekeeping.run()
    return tidied === undefined ? this.#move(now) : Promise.all([this.#move(now), tidied])
  }

  /** How long a read may block before something may be due. */
  get blockMs(): number {
    // To Redis, blocking for 0 ms is to block for ever.
    return Math.max(1, Math.ceil(this.#moveAt - this.#settings.clock.now()))
  }

  async #move(now: number): Promise<void> {
    const { reader, pollIntervalMs, keys } = this.#settings
    this.#moveAt = now + pollIntervalMs
    const wait = asNumber(await reader.run(moveDue, this.#moveKeys, [moveLimit, keys.streams.length]))
    if (wait >= 0) this.#moveAt = now + Math.min(wait, pollIntervalMs)
  }
}
