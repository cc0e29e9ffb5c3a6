import type { Driver, TopicSpec } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import { WantedTypes } from '../handling/wanted-types.ts'
import type { Clock } from '../lib/clock.ts'

/** A consumer's part on one topic, as its siblings see it. */
interface Member {
  handles(type: string): boolean
  /** Neither paused nor stopping. */
  readonly takes: boolean
}

/** The consumers of one group on one topic in this process. */
export class Membership<Each extends Member> {
  readonly wanted: WantedTypes
  readonly members = new Set<Each>()

  constructor(wanted: WantedTypes) {
    this.wanted = wanted
  }

  /** One that takes the type now. */
  taking(type: string): Each | undefined {
    for (const member of this.members) if (member.takes && member.handles(type)) return member
    return undefined
  }

  /** Whether any handles the type, though it may take nothing at the moment. */
  handles(type: string): boolean {
    return [...this.members].some((member) => member.handles(type))
  }
}

/** A bus's consumers by topic and group: what one receives, another may handle. */
export class Memberships<Each extends Member> {
  readonly #host: { readonly driver: Driver; readonly clock: Clock; readonly emit: Emit }
  readonly #byGroup = new Map<string, Membership<Each>>()

  constructor(host: { readonly driver: Driver; readonly clock: Clock; readonly emit: Emit }) {
    this.#host = host
  }

  join(topic: TopicSpec, group: string, member: Each): Membership<Each> {
    const key = keyOf(topic, group)
    let membership = this.#byGroup.get(key)
    if (membership === undefined) {
      membership = new Membership(new WantedTypes(topic, group, this.#host))
      this.#byGroup.set(key, membership)
    }
    membership.members.add(member)
    return membership
  }

  leave(topic: TopicSpec, group: string, member: Each): void {
    const membership = this.#byGroup.get(keyOf(topic, group))
    membership?.members.delete(member)
    if (membership?.members.size === 0) this.#byGroup.delete(keyOf(topic, group))
  }
}

// Names have no slashes.
function keyOf({ name }: TopicSpec, group: string): string {
  return `${name}/${group}`
}
