interface Waiter {
  readonly bytes: number
  readonly resume: () => void
}

/** Bounds the bytes under way: who finds no room waits, first come first served. */
export class ByteBudget {
  readonly #max: number
  #used = 0
  #waiters: Waiter[] = []

  constructor(max: number) {
    this.#max = max
  }

  /** Takes the bytes if there is room and nobody waits. One item larger than the whole budget travels alone. */
  tryTake(bytes: number): boolean {
    if (this.#waiters.length > 0 || !this.#fits(bytes)) return false
    this.#used += bytes
    return true
  }

  /**
   * Waits for the bytes. `resume` is called the moment they are taken, so that nobody who comes later gets ahead; the
   * result gives the place in the queue up before.
   */
  wait(bytes: number, resume: () => void): () => void {
    const waiter = { bytes, resume }
    this.#waiters.push(waiter)
    return () => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter)
      this.#admit()
    }
  }

  release(bytes: number): void {
    this.#used -= bytes
    this.#admit()
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#max
  }

  #admit(): void {
    for (let next = this.#waiters[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiters[0]) {
      this.#waiters.shift()
      this.#used += next.bytes
      next.resume()
    }
  }
}
