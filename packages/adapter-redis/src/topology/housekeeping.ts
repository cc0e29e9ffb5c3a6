import type { Clock } from '@waybill/core/driver'
import type { Settings } from '../options.ts'
import type { Script } from '../scripts/script.ts'
import { tidy } from '../scripts/tidy.ts'
import { type Argument, type GroupKeys, partitionReader, type TopicKeys } from '../wire/messages.ts'

export interface HousekeepingSettings {
  readonly keys: TopicKeys
  /** Undefined for those who belong to no group. */
  readonly group: GroupKeys | undefined
  readonly retention: Settings['retention']
  readonly clock: Clock
  readonly run: (script: Script, keys: readonly string[], args: readonly Argument[]) => Promise<unknown>
}

const intervalMs = 2000
// A consumer that closes takes its name along; what is left for so long belonged to a process that died.
const awayMs = 10 * 60_000

/** Keeps a topic to its retention, and a group's own streams empty. All who use the topic take turns. */
export class Housekeeping {
  readonly #settings: HousekeepingSettings
  readonly #keys: readonly string[]
  readonly #args: readonly Argument[]
  #dueAt = 0

  constructor(settings: HousekeepingSettings) {
    const { keys, group, retention } = settings
    this.#settings = settings
    this.#keys = [(group ?? keys).tidied, ...keys.streams, ...keys.marks, ...(group?.own ?? [])]
    const { maxLength, maxAge } = retention
    this.#args = [intervalMs, keys.streams.length, maxLength, maxAge ?? -1, awayMs, partitionReader]
  }

  /** Undefined when it is not time yet. */
  run(): Promise<unknown> | undefined {
    const now = this.#settings.clock.now()
    if (now < this.#dueAt) return undefined
    this.#dueAt = now + intervalMs
    return this.#settings.run(tidy, this.#keys, this.#args)
  }
}
