import { holdName, type WaitingRow } from './queue.ts'

/** The messages of one key in a batch, as far as they were entered. */
interface Line {
  readonly controller: AbortController
  /** Whether the last one was handed over to the bus; undefined: it was. */
  last: Promise<void> | undefined
  /** Why later ones must not be sent. */
  blockedBy: { readonly error: unknown } | undefined
}

/** The place of a message in its batch. */
export interface Place {
  /** By the clock's monotonic reading. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  /** To be waited for before it is sent: the one in front of it is not handed over yet. */
  readonly turn: Promise<void> | undefined
  /** Why it must not be sent, once it is its turn. */
  blockedBy(): { readonly error: unknown } | undefined
  /** The bus has it, and keeps the order from here on. */
  handedOver(): void
  /** It could not be sent for now: neither may later ones of its key. */
  failed(error: unknown): void
}

// More than the time between two calls of `send`.
const stepMs = 0.05

/**
 * Keeps later messages of a key from overtaking one that fails. They are handed over one after the other, as middleware, codec
 * or stages may fail before the bus has a message. Each ends a little before the one in front of it, so that a timeout never
 * leaves the later one under way.
 */
export class BatchOrder {
  /** Slots that were not ours in the meantime. Should they be again, what was left of them comes first. */
  readonly lostSlots = new Set<number>()
  readonly #deadline: number
  readonly #lines = new Map<string, Line>()
  #count = 0

  constructor(deadline: number) {
    this.#deadline = deadline
  }

  enter(row: WaitingRow): Place {
    this.#count += 1
    const deadline = this.#deadline - this.#count * stepMs
    if (row.key === null) return alone(deadline)
    const name = holdName(row)
    const known = this.#lines.get(name)
    const line: Line = known ?? { controller: new AbortController(), last: undefined, blockedBy: undefined }
    this.#lines.set(name, line)
    const turn = line.last
    const { promise, resolve } = Promise.withResolvers<void>()
    line.last = promise
    const leave = () => {
      if (line.last === promise) line.last = undefined
      resolve()
    }
    return {
      deadline,
      // Most keys have one message in a batch, and listening to a signal costs.
      signal: known === undefined ? undefined : line.controller.signal,
      turn,
      blockedBy: () => line.blockedBy,
      handedOver: leave,
      failed(error) {
        line.blockedBy ??= { error }
        line.controller.abort(new Error('an earlier message of its key could not be sent'))
        leave()
      },
    }
  }
}

function alone(deadline: number): Place {
  const nothing = () => undefined
  return {
    deadline,
    signal: undefined,
    turn: undefined,
    blockedBy: nothing,
    handedOver: nothing,
    failed: nothing,
  }
}
