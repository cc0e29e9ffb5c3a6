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
  update(owners: ReadonlyMap<number, string>): readonly Owned[] {
    const gone = this.all().filter(({ partition, owner }) => owners.get(partition) !== owner)
    for (const { partition } of gone) this.#owned.delete(partition)
    for (const [partition, owner] of owners) {
      if (this.#owned.has(partition)) continue
      const unread = new Map(sourcesOf(partition).map((source) => [source, '0']))
      this.#owned.set(partition, { partition, owner, unread, isLeaving: false })
    }
    return gone
  }

  clear(): readonly Owned[] {
    return this.update(new Map())
  }

  /** Marks what is above our share as leaving, the least busy first; what is within it stays. */
  fitTo(share: number, inHand: (owned: Owned) => readonly RedisDelivery[]): void {
    const surplus = this.#owned.size - share
    const order = [...this.all()].sort(
      (a, b) => Number(b.isLeaving) - Number(a.isLeaving) || inHand(a).length - inHand(b).length,
    )
    order.forEach((owned, index) => {
      owned.isLeaving = index < surplus
    })
  }
}
