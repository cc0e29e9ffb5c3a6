import type { JobRow } from '../store.ts'

/** A worker of this process that takes jobs of a queue from the store. */
export interface Taker {
  readonly owner: string
  readonly leaseMs: number
  /** Whose jobs it can have now. */
  readonly names: readonly string[]
  /** Some of them may have to wait before they begin, so that they are only set aside for it. */
  readonly mayWait: boolean
  /** How many it can have at once. */
  readonly most: number
  /** How many more it can have, besides what is asked for. */
  room(): number
  /** Gets what is asked for, up to `most`; resolves with how many jobs that is. */
  receive(most: number, ask: () => Promise<readonly JobRow[]>): Promise<number>
}
