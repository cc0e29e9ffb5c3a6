import { type BenchmarkEvent, firstSequence, keys } from './event.ts'

/** Counts what was handled against what was sent: each event by its number. */
export class Ledger {
  readonly #expected: number
  readonly #seen: Uint8Array
  readonly #ordered: boolean
  /** The last number of each key. */
  readonly #last = new Int32Array(keys).fill(-1)
  readonly #complete = Promise.withResolvers<void>()
  #count = 0
  #duplicates = 0
  #disorder = 0
  #strangers = 0

  constructor(expected: number, ordered = false) {
    this.#expected = expected
    this.#seen = new Uint8Array(expected)
    this.#ordered = ordered
    if (expected === 0) this.#complete.resolve()
  }

  /** Distinct events so far. */
  get count(): number {
    return this.#count
  }

  get duplicates(): number {
    return this.#duplicates
  }

  record({ sequence, key }: BenchmarkEvent): void {
    const index = sequence - firstSequence
    if (!(index >= 0 && index < this.#expected)) {
      this.#strangers += 1
      return
    }
    if (this.#seen[index] === 1) {
      this.#duplicates += 1
      return
    }
    this.#seen[index] = 1
    this.#count += 1
    if (this.#ordered) this.#checkOrder(index, key)
    if (this.#count === this.#expected) this.#complete.resolve()
  }

  /** Resolves when every event was handled, or with what is missing once nothing has come for a while. */
  async complete(patienceMs = 20_000): Promise<void> {
    let before = -1
    let timer: NodeJS.Timeout | undefined
    const stalled = new Promise<void>((resolve) => {
      timer = setInterval(() => {
        if (this.#count === before) resolve()
        before = this.#count
      }, patienceMs)
    })
    await Promise.race([this.#complete.promise, stalled])
    clearInterval(timer)
  }

  /** What is wrong, for people; undefined when every event was handled, and in order if it had to be. */
  problem(): string | undefined {
    const problems = [
      this.#count < this.#expected && `${this.#expected - this.#count} of ${this.#expected} missing`,
      this.#disorder > 0 && `${this.#disorder} out of order`,
      this.#strangers > 0 && `${this.#strangers} that were never sent`,
    ].filter((problem) => problem !== false)
    return problems.length === 0 ? undefined : problems.join(', ')
  }

  #checkOrder(index: number, key: string): void {
    const place = Number(key.slice('key-'.length))
    if ((this.#last[place] ?? -1) > index) this.#disorder += 1
    this.#last[place] = index
  }
}
