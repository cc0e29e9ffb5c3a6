import type { Clock, DriverContext } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/shared-connection.ts'
import type { RedisSettings } from '../options.ts'
import { bounds } from '../wire/bounds.ts'
import type { Call } from '../wire/call.ts'
import { type GroupKeys, partitionReader, returnedName, type TopicKeys } from '../wire/names.ts'
import { asNumber } from '../wire/reply.ts'

export interface HousekeepingSettings {
  readonly shared: SharedConnection
  readonly keys: TopicKeys
  /** Undefined for those who belong to no group. */
  readonly group: { readonly name: string; readonly keys: GroupKeys } | undefined
  readonly retention: RedisSettings['retention']
  readonly deduplicationMs: number
  readonly clock: Clock
  readonly emit: DriverContext['emit']
}

/** How often a topic and a group are tidied; who uses them takes turns. */
export const tidyMs = 10_000
// A round is many small calls; what is left after so many waits for the next round.
const mostCalls = 1000
// Nodes of a stream hold 100 entries at most (redis.conf, stream-node-max-entries), and only whole ones are trimmed.
const trimLimit = 300

/** Keeps a topic to its retention, and a group's own streams empty. */
export class Housekeeping {
  readonly #settings: HousekeepingSettings
  readonly #call: Call
  #dueAt = 0

  constructor(settings: HousekeepingSettings) {
    const { keys, group, retention, deduplicationMs } = settings
    const { maxLength, maxAge = -1, deadLetters } = retention
    this.#settings = settings
    this.#call = {
      keys: {
        ...{ streams: keys.streams, sent: keys.sent },
        ...(group !== undefined && {
          ...{ own: group.keys.own, dead: group.keys.dead, deadIndex: group.keys.deadIndex },
          ...{ members: group.keys.members, seen: group.keys.seen },
        }),
      },
      args: {
        ...{ maxLength, maxAge, window: deduplicationMs, limit: trimLimit, maxBytes: bounds.maxBytes },
        ...{ deadLength: deadLetters.maxLength ?? -1, deadAge: deadLetters.maxAge ?? -1 },
        ...(group !== undefined && { group: group.name, keepers: [returnedName, partitionReader] }),
      },
    }
  }

  /** For those who only send: undefined when it is not time yet. */
  run(): Promise<void> | undefined {
    const { clock } = this.#settings
    if (clock.monotonic() < this.#dueAt) return undefined
    this.#dueAt = clock.monotonic() + tidyMs
    return this.#inTurn()
  }

  /** One round, if it is our turn. */
  async tidy(): Promise<void> {
    const { shared, group, emit } = this.#settings
    let discarded = 0
    for (let calls = 0; calls < mostCalls; calls += 1) {
      const { fields } = await shared.run('tidy', this.#call)
      discarded += asNumber(fields.discarded)
      if (fields.more !== true) break
    }
    if (discarded === 0) return
    emit({
      type: 'warning',
      message: `${discarded} dead letters of group ${group?.name} were removed, because they exceed its retention`,
    })
  }

  async #inTurn(): Promise<void> {
    const { shared, keys } = this.#settings
    const isOurs = await shared.call('SET', keys.tidied, '1', 'NX', 'PX', tidyMs)
    if (isOurs !== null) await this.tidy()
  }
}
