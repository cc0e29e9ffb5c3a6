import { type Clock, type DriverContext, toMessagingError } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { bounds } from '../wire/bounds.ts'
import { type Answer, listOf } from '../wire/call.ts'
import { type GroupKeys, isConnected, memberName, returnedName } from '../wire/names.ts'
import { asText, asUtf8, type Fields } from '../wire/reply.ts'
import type { Upkeep } from './upkeep.ts'

export interface MembershipSettings {
  readonly shared: SharedConnection
  readonly upkeep: Upkeep
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  readonly instance: string
  /** Gives every subscription of the driver another number. */
  readonly nextNumber: () => number
  readonly group: GroupKeys
  readonly groupName: string
  readonly leaseMs: number
  /** The streams in which members hold entries under their own names; none on ordered topics. */
  readonly held: readonly string[]
}

/** What an ordered topic's member asks for besides. */
export interface ShareRequest {
  readonly partitions: number
  readonly givenUp: readonly {
    readonly partition: number
    readonly owner: string
    /** For another member, which may have a handler that is missing here. */
    readonly forOthers: boolean
  }[]
}

// Members check in every `pollInterval`; one that stays silent for longer is looked into.
const silentMs = 3000
// Others wait so much longer than the lease: a renewal comes a little late from a busy process.
const graceMs = 1000

/**
 * A subscription as a member of its group, under a lease that it renews for itself. Members look after each other: what a
 * dead one held comes back to the group as soon as the server says that its connection is gone, and at the end of its lease
 * where the server does not say so.
 */
export class Membership {
  readonly #settings: MembershipSettings
  #name: string
  #isJoined = false
  #isRefused = false

  constructor(settings: MembershipSettings) {
    this.#settings = settings
    this.#name = memberName(settings.instance, settings.nextNumber())
  }

  /** Unique to this subscription; another one after we were taken for dead. */
  get name(): string {
    return this.#name
  }

  /** By our clock. Until then nobody takes what we hold, unless our connection is gone. */
  leaseUntil = 0

  /** Joins, or renews the lease. Undefined: we were taken for dead, and what we held was returned to the group. */
  async tend(sources: readonly string[], share?: ShareRequest): Promise<Answer | undefined> {
    const { shared, upkeep, clock, group, groupName, leaseMs, held } = this.#settings
    const leaseUntil = clock.monotonic() + leaseMs
    const joining = !this.#isJoined
    const { members, seen, connections, watched, owners, wake } = group
    // So that the id told is that of the connection in use.
    await shared.get()
    const answer = await upkeep.tend({
      keys: { sources, members, seen, connections, watched, owners, groupWake: wake },
      args: {
        ...{
          group: groupName,
          member: this.#name,
          joining,
          leaseMs,
          connection: shared.id,
          silentMs,
          graceMs,
        },
        ...(held.length > 0 && { returned: returnedName }),
        ...share,
      },
    })
    if (answer.fields.isMember !== true) {
      this.#name = memberName(this.#settings.instance, this.#settings.nextNumber())
      this.#isJoined = false
      upkeep.soon()
      return undefined
    }
    this.#isJoined = true
    this.leaseUntil = leaseUntil
    const silent = listOf(answer.fields.silent).filter(({ member }) => asText(member) !== this.#name)
    if (silent.length > 0) await this.#lookAfter(silent)
    return answer
  }

  /** Gives everything that is held under our name back to the group. */
  async leave(): Promise<void> {
    await this.#depart(this.#name, { counts: false })
  }

  async #lookAfter(silent: readonly Fields[]): Promise<void> {
    const ids = silent.flatMap(({ connection }) => asText(connection) || [])
    const list = ids.length === 0 ? undefined : await this.#connections(ids)
    for (const { member, seen, connection, expired } of silent) {
      const name = asText(member)
      const id = asText(connection)
      const isAlive = id !== '' && list !== undefined ? isConnected(list, name, id) : undefined
      // A lease that ran out counts as a death does: the handlers took too long, or the process stands still.
      if (expired === true || isAlive === false)
        await this.#depart(name, { seen: asText(seen), counts: true })
    }
  }

  /** Undefined where it is not known. */
  async #connections(ids: readonly string[]): Promise<string | undefined> {
    const { shared, emit } = this.#settings
    if (this.#isRefused) return undefined
    try {
      return asUtf8(await shared.call('CLIENT', 'LIST', 'ID', ...ids))
    } catch (thrown) {
      const error = toMessagingError(thrown, 'CLIENT LIST failed')
      if (error.retryable) throw error
      this.#isRefused = true
      emit({
        type: 'warning',
        message: `CLIENT LIST is refused, so the messages of a dead member come back only when its lease expires: ${error.message}`,
      })
      return undefined
    }
  }

  async #depart(member: string, how: { readonly counts: boolean; readonly seen?: string }): Promise<void> {
    const { shared, group, groupName, held } = this.#settings
    const { members, seen, connections, wake } = group
    for (let more = true; more; ) {
      const { fields } = await shared.run('depart', {
        keys: { sources: held, members, seen, connections, groupWake: wake },
        args: { group: groupName, member, returned: returnedName, max: bounds.maxItems, ...how },
      })
      more = fields.more === true
    }
  }
}
