import type { RedisDelivery } from '../wire/delivery.ts'

/** A partition that is ours. */
export interface Owned {
  readonly partition: number
  /** As the broker has it; a later owner of the partition has another one. */
  readonly owner: string
  /** By source of the partition (own, topic's): the id after which pending entries of earlier owners are still to be read. */
  readonly unread: Map<number, string>
  /** Nothing more is read; it is given up once nothing of it is in hand. */
  isLeaving: boolean
  /** It leaves for another member, which may have a handler that is missing here. */
  isForOthers: boolean
  /** Another member has left it to us: going by shares it might go back there. */
  isKept: boolean
}

/** The sources of a partition: its own stream of the group, then the topic's. */
export const sourcesOf = (partition: number) => [2 * partition, 2 * partition + 1] as const

/** The partitions that a member owns, and which of them it is to give up. */
export class Ownership {
  readonly #owned = new Map<number, Owned>()
  #turn = 0

  all(): readonly Owned[] {
    return [...this.#owned.values()]
  }

  of(partition: number): Owned | undefined {
    return this.#owned.get(partition)
  }

  /** Those that may be read; each time another comes first, so that a full one does not starve the others. */
  readable(): readonly Owned[] {
    const readable = this.all().filter(({ isLeaving }) => !isLeaving)
    this.#turn += 1
    const first = this.#turn % Math.max(1, readable.length)
    return [...readable.slice(first), ...readable.slice(0, first)]
  }

  /** Takes over what the broker says; returns what is no longer ours. */
  update(owners: ReadonlyMap<number, string>, forOthers: ReadonlySet<number> = new Set()): readonly Owned[] {
    const gone = this.all().filter(({ partition, owner }) => owners.get(partition) !== owner)
    for (const { partition } of gone) this.#owned.delete(partition)
    for (const [partition, owner] of owners) {
      if (this.#owned.has(partition)) continue
      const unread = new Map(sourcesOf(partition).map((source) => [source, '0']))
      const isKept = forOthers.has(partition)
      this.#owned.set(partition, { partition, owner, unread, isLeaving: false, isForOthers: false, isKept })
    }
    return gone
  }

  clear(): readonly Owned[] {
    return this.update(new Map())
  }

  /** Members came or went: shares count again for all. */
  forgetKept(): void {
    for (const owned of this.#owned.values()) owned.isKept = false
  }

  /**
   * Marks what is above our share as leaving, the least busy first; what is within it stays, and what others have left to us,
   * while the members are the same.
   */
  fitTo(share: number, inHand: (owned: Owned) => readonly RedisDelivery[]): void {
    const surplus = this.#owned.size - share
    const order = [...this.all()].sort(
      (a, b) =>
        Number(b.isForOthers) - Number(a.isForOthers) ||
        Number(a.isKept) - Number(b.isKept) ||
        Number(b.isLeaving) - Number(a.isLeaving) ||
        inHand(a).length - inHand(b).length,
    )
    order.forEach((owned, index) => {
      owned.isLeaving = owned.isForOthers || (index < surplus && !owned.isKept)
    })
  }
}
