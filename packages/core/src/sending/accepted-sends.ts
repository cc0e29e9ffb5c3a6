import { setImmediate } from 'node:timers'
import { MessagingError } from '../lib/errors.ts'
import { Roster } from '../lib/roster.ts'
import type { Deadlines } from './deadlines.ts'
import type { EndCode } from './pending-send.ts'

/** What ends a send that has no answer yet. */
export interface SendLimits {
  /** By the clock's monotonic reading. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
}

const reasons: Readonly<Record<EndCode, string>> = {
  timeout: 'it was not ready within the timeout',
  aborted: 'the signal given to send was aborted',
  closed: 'the bus was closed before it was done',
}

/** All sends that were accepted and have not ended, so that `close` can wait for them. */
export class AcceptedSends {
  readonly #deadlines: Deadlines
  readonly #preparing = new Roster<() => void>()
  #open = 0
  #whenIdle: (() => void)[] = []

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines
  }

  enter(): void {
    this.#open += 1
  }

  leave(): void {
    this.#open -= 1
    if (this.#open === 0) for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  /** Resolves when none is left. */
  idle(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenIdle.push(resolve))
  }

  /** A send with more to do than the broker's part. Its limits end it until it has `begun` that, which throws once it is over. */
  run<Result>(
    what: string,
    { deadline, signal }: SendLimits,
    run: (begun: () => void) => Promise<Result>,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      let hasBegun = false
      let isOver = false
      const giveUp = (code: EndCode) => {
        const fate = hasBegun ? 'unknown' : 'not-sent'
        const options = { fate, retryable: code === 'timeout' } as const
        const outcome = hasBegun ? 'may have been sent' : 'was not sent'
        end(() => reject(new MessagingError(code, `The ${what} ${outcome}: ${reasons[code]}`, options)))
      }
      const onAbort = () => giveUp('aborted')
      const begun = () => {
        // The caller was told that nothing was sent.
        if (isOver) throw new MessagingError('aborted', `The ${what} is no longer wanted`)
        hasBegun = true
        this.#deadlines.remove(watched)
        signal?.removeEventListener('abort', onAbort)
      }
      const end = (settle: () => void) => {
        if (!this.#preparing.remove(place)) return
        isOver = true
        this.#deadlines.remove(watched)
        signal?.removeEventListener('abort', onAbort)
        settle()
        this.leave()
      }
      this.enter()
      const place = this.#preparing.add(() => giveUp('closed'))
      const watched = this.#deadlines.add(deadline, () => giveUp('timeout'))
      signal?.addEventListener('abort', onAbort, { once: true })
      if (signal?.aborted) return onAbort()
      run(begun).then(
        (result) => end(() => resolve(result)),
        (error: unknown) => end(() => reject(error)),
      )
    })
  }

  /** Ends those that are left, once the ends of what they wait for at the broker have reached them. */
  async close(): Promise<void> {
    if (this.#preparing.size === 0) return
    await new Promise((resolve) => setImmediate(resolve))
    for (const giveUp of this.#preparing.all()) giveUp()
  }
}
