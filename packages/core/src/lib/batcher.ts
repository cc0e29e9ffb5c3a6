export interface BatcherOptions {
  /** Items a batch holds at most. */
  readonly maxItems: number
  /** Batches under way at once at most. */
  readonly parallelism: number
}

/**
 * Coalesces without a timer: what is added while a batch is under way forms the next one, so a lone caller waits for
 * nobody and a crowd travels together. `run` must not reject; it tells each item how it went itself.
 */
export class Batcher<Item> {
  readonly #run: (items: readonly Item[]) => Promise<void>
  readonly #options: BatcherOptions
  #waiting: Item[] = []
  #running = 0
  #scheduled = false
  #whenIdle: (() => void)[] = []

  constructor(run: (items: readonly Item[]) => Promise<void>, options: BatcherOptions) {
    this.#run = run
    this.#options = options
  }

  add(item: Item): void {
    this.#waiting.push(item)
    this.#schedule()
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    if (this.#running === 0 && this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenIdle.push(resolve))
  }

  // A microtask later, so that what is added within one tick is one batch from the first.
  #schedule(): void {
    if (this.#scheduled || this.#running >= this.#options.parallelism) return
    this.#scheduled = true
    // Not by queueMicrotask, which the fake timers of a test runner may hold back.
    void Promise.resolve().then(() => {
      this.#scheduled = false
      while (this.#waiting.length > 0 && this.#running < this.#options.parallelism) void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    const items = this.#waiting.splice(0, this.#options.maxItems)
    this.#running += 1
    try {
      await this.#run(items)
    } finally {
      this.#running -= 1
      if (this.#waiting.length > 0) this.#schedule()
      else if (this.#running === 0) for (const resolve of this.#whenIdle.splice(0)) resolve()
    }
  }
}
