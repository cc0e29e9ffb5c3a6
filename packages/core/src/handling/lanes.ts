/** What can wait in a lane. Without a key it waits for nobody. */
export interface Keyed {
  readonly laneKey: string | undefined
}

/** One after the other within a key, all keys at once. */
export class Lanes<Item extends Keyed> {
  readonly #run: (item: Item) => void
  /** The keys in use, each with what waits behind its head. */
  readonly #waiting = new Map<string, Item[]>()

  /** `run` is told of each item whose turn it is, and answers with `done` once it is through. */
  constructor(run: (item: Item) => void) {
    this.#run = run
  }

  add(item: Item): void {
    const key = item.laneKey
    if (key === undefined) {
      this.#run(item)
      return
    }
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) {
      waiting.push(item)
      return
    }
    this.#waiting.set(key, [])
    this.#run(item)
  }

  /** The item has left its lane: the next of its key has its turn. */
  done({ laneKey: key }: Item): void {
    if (key === undefined) return
    const next = this.#waiting.get(key)?.shift()
    if (next === undefined) this.#waiting.delete(key)
    else this.#run(next)
  }
}

/** Bounds how many handlers run at once; first come, first served. */
export class Slots {
  readonly #limit: number
  #used = 0
  #paused = false
  #waiting: (() => void)[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  get used(): number {
    return this.#used
  }

  get full(): boolean {
    return this.#used >= this.#limit
  }

  /** Undefined when a slot was free and is taken now; else a promise of one. */
  acquire(): Promise<void> | undefined {
    if (!this.#paused && this.#used < this.#limit) {
      this.#used += 1
      return undefined
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  release(): void {
    this.#used -= 1
    this.#admit()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#admit()
  }

  #admit(): void {
    while (!this.#paused && this.#used < this.#limit) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#used += 1
      next()
    }
  }
}
