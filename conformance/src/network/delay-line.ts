/** Runs actions in the order they came, each no sooner than its delay, and none while held. */
export class DelayLine {
  readonly #waiting: { readonly dueAt: number; readonly action: () => void }[] = []
  #held = false
  #timer: NodeJS.Timeout | undefined

  pass(delayMs: number, action: () => void): void {
    if (delayMs === 0 && this.#waiting.length === 0 && !this.#held) {
      action()
      return
    }
    this.#waiting.push({ dueAt: performance.now() + delayMs, action })
    this.#schedule()
  }

  hold(): void {
    this.#held = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  release(): void {
    this.#held = false
    this.#schedule()
  }

  /** Drops what has not run. */
  clear(): void {
    this.#waiting.length = 0
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #schedule(): void {
    const [next] = this.#waiting
    if (this.#held || this.#timer !== undefined || next === undefined) return
    // Rounded up: timers may fire up to a millisecond early.
    const waitMs = Math.max(0, Math.ceil(next.dueAt - performance.now()))
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#runDue()
      this.#schedule()
    }, waitMs)
  }

  #runDue(): void {
    for (;;) {
      const [next] = this.#waiting
      if (this.#held || next === undefined || next.dueAt > performance.now()) return
      this.#waiting.shift()
      next.action()
    }
  }
}
