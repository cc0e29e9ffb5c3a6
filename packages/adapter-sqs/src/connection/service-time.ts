import type { Clock } from '@waybill/core/driver'

/**
 * What the service's clock shows. Delays and the ends of lists are counted by it, so that neither a wrong clock of ours nor
 * one that is set makes a message early or hides a dead letter.
 */
export class ServiceTime {
  readonly #clock: Clock
  #last: { readonly time: number; readonly at: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The service has just shown this time. */
  readonly learn = (time: number): void => {
    this.#last = { time, at: this.#clock.monotonic() }
  }

  /** Undefined as long as nothing is known. */
  now(): number | undefined {
    return this.#last && this.#last.time + (this.#clock.monotonic() - this.#last.at)
  }
}
