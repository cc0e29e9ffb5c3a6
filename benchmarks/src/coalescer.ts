/** What is added while a batch is under way forms the next one; each caller hears when its item's batch is through. */
export class Coalescer<Item> {
  readonly #run: (items: Item[]) => Promise<unknown>
  readonly #maxItems: number
  readonly #parallelism: number
  #waiting: {
    readonly item: Item
    readonly resolve: () => void
    readonly reject: (error: unknown) => void
  }[] = []
  #running = 0
  #scheduled = false

  constructor(run: (items: Item[]) => Promise<unknown>, maxItems: number, parallelism: number) {
    this.#run = run
    this.#maxItems = maxItems
    this.#parallelism = parallelism
  }

  add(item: Item): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      while (this.#waiting.length > 0 && this.#running < this.#parallelism) void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting.splice(0, this.#maxItems)
    this.#running += 1
    try {
      await this.#run(batch.map(({ item }) => item))
      for (const { resolve } of batch) resolve()
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#running -= 1
      if (this.#waiting.length > 0) this.#schedule()
    }
  }
}
