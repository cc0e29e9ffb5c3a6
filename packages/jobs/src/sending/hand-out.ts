import type { Wanted } from '../book/due-jobs.ts'
import type { JobBook } from '../book/job-book.ts'
import type { Taker } from '../working/taker.ts'
import { batchSize, type QueueTurn } from './queue-turn.ts'

export interface HandOutHost {
  readonly book: JobBook
  /** When a job that was set aside and has not begun is handed out again. */
  readonly resendMs: number
  takersOf(queue: string): readonly Taker[]
}

/** Hands jobs that are due to the workers of this process, without a message. */
export class HandOut {
  readonly #host: HandOutHost

  constructor(host: HandOutHost) {
    this.#host = host
  }

  /** Resolves with whether there may be more at once. */
  async turn(turn: QueueTurn): Promise<boolean> {
    let hasMore = false
    for (const taker of this.#host.takersOf(turn.queue)) if (await this.#fill(taker, turn)) hasMore = true
    return hasMore
  }

  /** Resolves with whether the worker got all that it has room for. */
  async #fill(taker: Taker, { queue, mostRunning, looksForLost }: QueueTurn): Promise<boolean> {
    const room = roomOf(taker)
    if (looksForLost && room > 0) await this.#give(taker, { queue, room: 0, mostRunning, lost: room })
    const rest = roomOf(taker)
    if (rest === 0) return false
    return (await this.#give(taker, { queue, room: rest, mostRunning, lost: 0 })) === rest
  }

  /** Resolves with how many. */
  async #give(taker: Taker, of: Omit<Wanted, 'names'>): Promise<number> {
    const { book, resendMs } = this.#host
    const { owner, leaseMs, names, mayWait } = taker
    const wanted = { ...of, names }
    return await taker.receive(() =>
      mayWait ? book.claim(wanted, resendMs) : book.takeDue(wanted, { owner, leaseMs }),
    )
  }
}

function roomOf(taker: Taker): number {
  return Math.min(taker.room(), batchSize)
}
