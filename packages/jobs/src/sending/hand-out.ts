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

// What one has brought runs while the other is answered.
const takesAtOnce = 2

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

  /** Resolves with whether there may be more for the worker. */
  async #fill(taker: Taker, { queue, mostRunning, looksForLost }: QueueTurn): Promise<boolean> {
    const lost = Math.min(taker.room(), batchSize)
    if (looksForLost && lost > 0) await this.#give(taker, lost, { queue, room: 0, mostRunning, lost })
    // Those who count, or set aside, what the others take as well are better off alone.
    const isAlone = mostRunning !== undefined || taker.mayWait
    const atOnce = isAlone ? 1 : takesAtOnce
    const most = Math.ceil(Math.min(taker.most, batchSize) / atOnce)
    let left = atOnce * batchSize
    const line = async (): Promise<boolean> => {
      for (;;) {
        const room = Math.min(taker.room(), most, left)
        if (room === 0) return left === 0
        left -= room
        if ((await this.#give(taker, room, { queue, room, mostRunning, lost: 0 })) < room) return false
      }
    }
    return await anyOf(Array.from({ length: atOnce }, line))
  }

  /** Resolves with how many. */
  async #give(taker: Taker, room: number, of: Omit<Wanted, 'names'>): Promise<number> {
    const { book, resendMs } = this.#host
    const { owner, leaseMs, names, mayWait } = taker
    const wanted = { ...of, names }
    return await taker.receive(room, () =>
      mayWait ? book.claim(wanted, resendMs) : book.takeDue(wanted, { owner, leaseMs }),
    )
  }
}

/** Once all are done. */
async function anyOf(all: readonly Promise<boolean>[]): Promise<boolean> {
  await Promise.allSettled(all)
  return (await Promise.all(all)).includes(true)
}
