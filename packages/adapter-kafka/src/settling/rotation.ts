import type { Partition } from './partition.ts'

export interface RotationOptions {
  /** How many partitions the group's retry topic has; 0 while that is not known. */
  readonly count: () => number
  /** Whether the retry partition is this member's. */
  readonly isOurs: (index: number) => boolean
}

/**
 * Where retries come back on unordered topics: in the next retry partition that belongs to another member. A message thus
 * goes round the members, whichever partitions they have, and one that has no handler for it is never its own successor:
 * after at most as many rounds as there are retry partitions, every member that has one of them has met the message.
 */
export class Rotation {
  readonly #options: RotationOptions
  /** What comes from the topic itself starts anywhere. */
  #started = Math.floor(Math.random() * 1000)

  constructor(options: RotationOptions) {
    this.#options = options
  }

  /** The retry partition for a copy of what was read here; undefined while their number is not known. */
  next({ kind, index }: Pick<Partition, 'kind' | 'index'>): number | undefined {
    const { isOurs } = this.#options
    const count = this.#options.count()
    if (count === 0) return undefined
    const from = kind === 'retry' ? index : this.#started++
    for (let step = 1; step <= count; step += 1) {
      const candidate = (from + step) % count
      if (!isOurs(candidate)) return candidate
    }
    return (from + 1) % count
  }
}
