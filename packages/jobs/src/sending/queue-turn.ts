/** A look at one queue. */
export interface QueueTurn {
  readonly queue: string
  /** How many of its jobs may run. Undefined: any number. */
  readonly mostRunning: number | undefined
  /** Jobs are looked for as well that were sent, and taken by nobody. */
  readonly looksForLost: boolean
}

/** How many jobs are handled in one step. */
export const batchSize = 500
