import type { Clock } from '@waybill/core/driver'
import type { Run } from '../book/job-book.ts'
import type { JobRow } from '../store.ts'

const lineLength = 1000
const mostLines = 100

/** Why a run is over before its handler has ended. */
export type Interruption = 'timeout' | 'lost' | 'stopped'

/** What a handler has told. */
export interface News {
  readonly progress: { readonly value: unknown } | undefined
  readonly log: JobRow['details']['log']
}

/** A job that this worker runs: what its handler has told, and whether it still may. */
export class LiveRun implements Run {
  readonly row: JobRow
  // Made for those who look at it: most handlers do not, and it costs more than the rest of this.
  #over: AbortController | undefined
  #reason: Error | undefined
  readonly #clock: Clock
  /** By the clock's monotonic time: from then on another worker may have it. */
  leaseEnd: number
  interruption: Interruption | undefined
  /** It was completed within a transaction of the handler's. */
  isCompleted = false
  /** Its handler has ended; what came of it is being stored. */
  isOver = false
  #progress: { readonly value: unknown } | undefined
  #lines: { readonly at: number; readonly text: string }[] = []
  readonly interrupted: Promise<void>
  #interrupt: () => void = () => {}

  constructor(row: JobRow, clock: Clock, leaseEnd: number) {
    this.row = row
    this.#clock = clock
    this.leaseEnd = leaseEnd
    this.interrupted = new Promise((resolve) => {
      this.#interrupt = resolve
    })
  }

  get id(): string {
    return this.row.id
  }

  get run(): number {
    return this.row.run
  }

  get signal(): AbortSignal {
    if (this.#over === undefined) {
      this.#over = new AbortController()
      if (this.#reason !== undefined) this.#over.abort(this.#reason)
    }
    return this.#over.signal
  }

  interrupt(interruption: Interruption, reason: Error): void {
    if (this.interruption !== undefined) return
    this.interruption = interruption
    this.#reason = reason
    this.#over?.abort(reason)
    this.#interrupt()
  }

  tell(value: unknown): void {
    this.#progress = { value }
  }

  log(text: string): void {
    this.#lines.push({ at: this.#clock.now(), text: String(text).replaceAll('\0', '').slice(0, lineLength) })
    if (this.#lines.length > mostLines) this.#lines.shift()
  }

  get hasNews(): boolean {
    return this.#progress !== undefined || this.#lines.length > 0
  }

  /** What was told since it was last taken. */
  takeNews(): News {
    const news = { progress: this.#progress, log: this.#lines }
    this.#progress = undefined
    this.#lines = []
    return news
  }

  /** Takes back what could not be stored. */
  keepNews({ progress, log }: News): void {
    this.#progress ??= progress
    this.#lines = [...log, ...this.#lines].slice(-mostLines)
  }
}
