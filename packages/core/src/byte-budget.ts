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

  /** Resolves once the bytes are taken; `cancel` gives the place in the queue up, or the bytes if they just came. */
  take(bytes: number): { readonly taken: Promise<void>; readonly cancel: () => void } {
    let waiter: Waiter | undefined
    const taken = new Promise<void>((resolve) => {
      waiter = { bytes, resume: resolve }
      this.#waiters.push(waiter)
    })
    return {
      taken,
      cancel: () => {
        const left = this.#waiters.filter((other) => other !== waiter)
        if (left.length === this.#waiters.length) return this.release(bytes)
        this.#waiters = left
        this.#admit()
      },
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
