/** How the waits of one case end: with what they wait for, at their deadline, or with the case. */
export class Waits {
  readonly #pending = new Set<string>()
  #isOver = false

  /** What is being waited for, in words. */
  get pending(): readonly string[] {
    return [...this.#pending]
  }

  /** Ends every `eventually` and `quiet`. */
  end(): void {
    this.#isOver = true
  }

  /** See `CaseContext.eventually`. */
  async eventually(
    description: string,
    predicate: () => boolean | Promise<boolean>,
    withinMs: number,
    progress: () => unknown,
  ): Promise<void> {
    await this.#waiting(description, async () => {
      let deadline = performance.now() + withinMs
      let reached = progress()
      let thrown: unknown
      for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 50)) {
        try {
          if (await predicate()) return
          thrown = undefined
        } catch (error) {
          thrown = error
        }
        const now = progress()
        if (now !== reached) deadline = performance.now() + withinMs
        reached = now
        if (performance.now() > deadline) {
          throw new Error(`Not in time: ${description}`, { ...(thrown !== undefined && { cause: thrown }) })
        }
        // What this process waited for the processor does not count: nothing could have arrived meanwhile.
        deadline += await this.#pause(pauseMs)
      }
    })
  }

  /** See `CaseContext.within`. */
  async within<Result>(description: string, promise: Promise<Result>, withinMs: number): Promise<Result> {
    return this.#waiting(description, async () => {
      const late = Promise.withResolvers<never>()
      const timer = setTimeout(() => late.reject(new Error(`Not in time: ${description}`)), withinMs)
      try {
        return await Promise.race([promise, late.promise])
      } finally {
        clearTimeout(timer)
      }
    })
  }

  async quiet(windowMs: number): Promise<void> {
    await this.#waiting('the quiet window', () => this.#pause(windowMs))
  }

  async #waiting<Result>(description: string, wait: () => Promise<Result>): Promise<Result> {
    this.#pending.add(description)
    try {
      return await wait()
    } finally {
      this.#pending.delete(description)
    }
  }

  /** Resolves with how much longer it took, in milliseconds. */
  async #pause(ms: number): Promise<number> {
    if (this.#isOver) throw new Error('The case is over')
    const until = performance.now() + ms
    await new Promise((resolve) => {
      setTimeout(resolve, ms)
    })
    return Math.max(0, performance.now() - until)
  }
}
