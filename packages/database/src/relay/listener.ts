import { exponential } from '@waybill/core'
import { sleep } from '@waybill/core/driver'
import type { Emitter, FailureEvents } from '../emitter.ts'
import type { Host } from '../host.ts'

const backoff = exponential({ initial: 200, max: 10_000, jitter: 0 })

/** Wakes a relay: by the database's notifications, and by what this process commits. Listens again after a loss. */
export class Listener {
  readonly #host: Host
  readonly #events: Pick<Emitter<FailureEvents>, 'fail'>
  readonly #wake: () => void
  isListening = false

  constructor(host: Host, events: Pick<Emitter<FailureEvents>, 'fail'>, wake: () => void) {
    this.#host = host
    this.#events = events
    this.#wake = wake
  }

  /** Resolves when the signal has fired and nothing listens any more. */
  async run(signal: AbortSignal): Promise<void> {
    const forget = this.#host.onWake(this.#wake)
    try {
      for (let failures = 0; !signal.aborted && this.#host.connection.listen !== undefined; ) {
        try {
          await this.#listen(signal)
          failures = 0
        } catch (error) {
          failures += 1
          const what = 'listening to notifications'
          const known = this.#host.failed(error, what)
          this.#events.fail(what, known)
          if (known.code === 'unsupported') break
        }
        this.isListening = false
        await sleep(this.#host.clock, backoff(failures), signal)
      }
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
    } finally {
      forget()
    }
  }

  /** Resolves when the signal fires, rejects when the connection is lost. */
  async #listen(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {})
    const listening = this.#host.connection.listen?.(this.#wake, reject)
    const onAbort = () => resolve()
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) resolve()
    try {
      // Whoever closes does not wait until others give a connection back.
      await Promise.race([listening, promise])
      this.isListening = !signal.aborted
      // What was notified before is not notified again.
      this.#wake()
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      const ended = listening?.then((end) => end())
      if (this.isListening) await ended
      else ended?.catch(() => {})
    }
  }
}
