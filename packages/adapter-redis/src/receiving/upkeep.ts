import type { Clock } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/shared-connection.ts'
import type { Housekeeping } from '../topology/housekeeping.ts'
import { tidyMs } from '../topology/housekeeping.ts'
import { bounds } from '../wire/bounds.ts'
import type { Answer, Call } from '../wire/call.ts'
import type { GroupKeys, TopicKeys } from '../wire/names.ts'
import { asNumber } from '../wire/reply.ts'

export interface UpkeepSettings {
  readonly shared: SharedConnection
  readonly keys: TopicKeys
  /** Undefined for broadcast, which has no group. */
  readonly group: GroupKeys | undefined
  readonly housekeeping: Housekeeping
  readonly pollIntervalMs: number
  readonly clock: Clock
}

/** Work that consumers do for their topic, since no server does it: moving messages that are due, and housekeeping. */
export class Upkeep {
  readonly #settings: UpkeepSettings
  /** When to tend again. */
  #tendAt = 0
  #moveAt = Number.POSITIVE_INFINITY

  constructor(settings: UpkeepSettings) {
    this.#settings = settings
  }

  /** Milliseconds until there is something to do. */
  get untilDue(): number {
    return Math.min(this.#tendAt, this.#moveAt) - this.#settings.clock.monotonic()
  }

  get isTendDue(): boolean {
    return this.#tendAt <= this.#settings.clock.monotonic()
  }

  /** Tend at the next occasion. */
  soon(): void {
    this.#tendAt = 0
  }

  /** Something is due in so many milliseconds. */
  dueIn(ms: number): void {
    this.#moveAt = Math.min(this.#moveAt, this.#settings.clock.monotonic() + ms)
  }

  /** Moves what is due; undefined when it is not time for that. */
  moveDue(): Promise<void> | undefined {
    return this.#moveAt <= this.#settings.clock.monotonic() ? this.#move() : undefined
  }

  /** One round trip now and then, with which a member of a group also shows that it is alive. */
  async tend({ keys, args }: Pick<Call, 'keys' | 'args'> = { keys: {} }): Promise<Answer> {
    const { shared, clock, pollIntervalMs, housekeeping } = this.#settings
    const topic = this.#settings.keys
    const { group } = this.#settings
    const now = clock.monotonic()
    // If it fails, the next receive tries again.
    const answer = await shared.run('tend', {
      keys: {
        ...keys,
        delayed: group === undefined ? [topic.delayed] : [topic.delayed, group.delayed],
        tidied: (group ?? topic).tidied,
      },
      args: { ...args, tidyMs },
    })
    this.#tendAt = now + pollIntervalMs
    const wait = asNumber(answer.fields.wait)
    this.#moveAt = wait < 0 ? Number.POSITIVE_INFINITY : now + wait
    // No receiver waits for it; what goes wrong is done again by the next whose turn it is.
    if (answer.fields.tidy === true) housekeeping.tidy().catch(() => undefined)
    return answer
  }

  /** A bounded number of them; the rest next time, so that others come in between. */
  async #move(): Promise<void> {
    const { shared, clock, keys, group } = this.#settings
    const { topic, delayed, delayedEntries, delayedIds, heldKeys, streams, wake } = keys
    const now = clock.monotonic()
    const { fields } = await shared.run('moveDue', {
      keys: {
        ...{ topic, delayed, delayedEntries, delayedIds, heldKeys, streams, wake },
        ...(group !== undefined && {
          ...{ groupDelayed: group.delayed, groupDelayedEntries: group.delayedEntries },
          ...{ own: group.own, groupWake: group.wake },
        }),
      },
      args: { maxItems: bounds.maxItems, maxBytes: bounds.maxBytes },
    })
    const wait = asNumber(fields.wait)
    this.#moveAt = wait < 0 ? Number.POSITIVE_INFINITY : now + wait
  }
}
