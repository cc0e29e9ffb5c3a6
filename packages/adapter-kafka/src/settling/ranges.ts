/** Offsets `from` (inclusive) to `to` (exclusive). */
export interface Range {
  readonly from: number
  readonly to: number
}

/** Disjoint ranges of whole numbers in ascending order, merged where they touch. */
export class Ranges {
  #ranges: Range[]

  constructor(ranges: readonly Range[] = []) {
    this.#ranges = [...ranges]
  }

  get size(): number {
    return this.#ranges.length
  }

  get first(): Range | undefined {
    return this.#ranges[0]
  }

  has(value: number): boolean {
    const range = this.#ranges[this.#indexOf(value)]
    return range !== undefined && range.from <= value
  }

  add(from: number, to: number): void {
    if (from >= to) return
    // The ranges that touch the new one are replaced by their union with it.
    const start = this.#indexOf(from - 1)
    let end = start
    let union: Range = { from, to }
    for (let next = this.#ranges[end]; next !== undefined && next.from <= to; next = this.#ranges[end]) {
      union = { from: Math.min(union.from, next.from), to: Math.max(union.to, next.to) }
      end += 1
    }
    this.#ranges.splice(start, end - start, union)
  }

  /** Takes the first range off. */
  shift(): Range | undefined {
    return this.#ranges.shift()
  }

  *[Symbol.iterator](): IterableIterator<Range> {
    yield* this.#ranges
  }

  /** The index of the first range that ends above the value. */
  #indexOf(value: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const range = this.#ranges[middle]
      if (range !== undefined && range.to <= value) low = middle + 1
      else high = middle
    }
    return low
  }
}
