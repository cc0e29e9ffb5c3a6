import { type Clock, type DriverContext, toMessagingError } from '@waybill/core/driver'
import type { Reader } from '../connection/reader.ts'
import { connectionNames, connectionOf } from '../wire/messages.ts'
import { asUtf8 } from '../wire/reply.ts'

export interface PresenceSettings {
  readonly reader: Reader
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  /** The members that may have something in hand. */
  readonly members: () => Promise<readonly string[]>
  /** Takes back what a member had that is gone. */
  readonly bury: (member: string) => Promise<unknown>
}

export const presenceIntervalMs = 1000

/**
 * Notices members that are gone sooner than their leases tell: the server knows at once when a process died, since its
 * connection closed. Members whose name tells no connection are left to their leases.
 */
export class Presence {
  readonly #settings: PresenceSettings
  #lookAt = 0
  #refused = false

  constructor(settings: PresenceSettings) {
    this.#settings = settings
  }

  /** Undefined when it is not time to look. */
  run(): Promise<void> | undefined {
    const now = this.#settings.clock.now()
    if (now < this.#lookAt || this.#refused) return undefined
    this.#lookAt = now + presenceIntervalMs
    return this.#look()
  }

  async #look(): Promise<void> {
    const { reader, members, bury, emit } = this.#settings
    const others = (await members()).filter((member) => member !== reader.name)
    const ids = others.flatMap((member) => connectionOf(member) ?? [])
    if (ids.length === 0) return
    let list: string
    try {
      list = asUtf8(await reader.call('CLIENT', 'LIST', 'ID', ...ids))
    } catch (thrown) {
      const error = toMessagingError(thrown, 'CLIENT LIST failed')
      if (error.retryable) throw error
      this.#refused = true
      emit({
        type: 'warning',
        message: `CLIENT LIST is refused, so what a dead member held comes back only when its lease is over: ${error.message}`,
      })
      return
    }
    const present = connectionNames(list)
    for (const member of others) {
      if (connectionOf(member) !== undefined && !present.has(member)) await bury(member)
    }
  }
}
