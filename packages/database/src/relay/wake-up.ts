import type { Clock } from '@waybill/core/driver'

/** Lets one loop wait until somebody wakes it. A call while it does not wait is not lost. */
export class WakeUp {
  readonly #clock: Clock
  #isDue = false
  #resume: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wake(): void {
    this.#isDue = true
    this.#resume?.()
  }

  /** Resolves when it is woken, or after the time. */
  async wait(delayMs: number): Promise<void> {
    if (!this.#isDue) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(delayMs, resolve)
        this.#resume = () => {
          cancel()
          resolve()
        }
      })
    }
    this.#resume = undefined
    this.#isDue = false
  }
}
