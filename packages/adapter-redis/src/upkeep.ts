import type { Clock } from '@waybill/core/driver'
import type { Settings } from './options.ts'
import type { Reader } from './reader.ts'
import { asNumber } from './reply.ts'
import { moveDue, partitionReader, tidy } from './scripts.ts'
import type { GroupKeys, TopicKeys } from './wire.ts'

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
const tidyIntervalMs = 2000
// A consumer closes with its name removed; what is left for so long belonged to a process that died.
const awayMs = 10 * 60_000

/**
 * What the members of a group do for their topic as they go along, there being nobody else: move what is due, trim what
 * is settled, remove consumers that are gone.
 */
export class Upkeep {
  readonly #settings: UpkeepSettings
  readonly #moveKeys: readonly string[]
  readonly #tidyKeys: readonly string[]
  readonly #tidyArgs: readonly (string | number)[]
  #moveAt = 0
  #tidyAt = 0

  constructor(settings: UpkeepSettings) {
    const { keys, group, retention } = settings
    const own = group?.own ?? []
    this.#settings = settings
    this.#moveKeys = [keys.delayed, ...keys.streams, ...(group === undefined ? [] : [group.delayed, ...own])]
    this.#tidyKeys = [
      (group ?? keys).tidied,
      ...[...keys.streams, ...own].flatMap((stream) => [stream, `${stream}:marks`]),
    ]
    const { maxLength, maxAge } = retention
    this.#tidyArgs = [tidyIntervalMs, keys.streams.length, maxLength, maxAge ?? -1, awayMs, partitionReader]
  }

  /** Undefined when nothing is due. */
  run(): Promise<unknown> | undefined {
    const now = this.#settings.clock.now()
    if (now < this.#moveAt) return undefined
    if (now < this.#tidyAt) return this.#move(now)
    this.#tidyAt = now + tidyIntervalMs
    return Promise.all([this.#move(now), this.#settings.reader.run(tidy, this.#tidyKeys, this.#tidyArgs)])
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
