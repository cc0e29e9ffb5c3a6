/** So many may run at once; the others wait for their turn. */
export class Slots {
  readonly #waiting: ((mayRun: boolean) => void)[] = []
  #free: number
  #isPaused = false
  #isOver = false

  constructor(count: number) {
    this.#free = count
  }

  /** Resolves when there is room, with false once nothing may begin any more. */
  enter(): Promise<boolean> | boolean {
    if (this.#isOver) return false
    if (this.#free > 0 && !this.#isPaused) {
      this.#free -= 1
      return true
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Of one who was let in, once it is done. */
  leave(): void {
    this.#free += 1
    this.#admit()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#admit()
  }

  /** Turns everybody away, now and from now on. */
  end(): void {
    this.#isOver = true
    this.turnAway()
  }

  /** Turns away everybody who waits. */
  turnAway(): void {
    for (const answer of this.#waiting.splice(0)) answer(false)
  }

  #admit(): void {
    while (this.#free > 0 && !this.#isPaused) {
      const answer = this.#waiting.shift()
      if (answer === undefined) return
      this.#free -= 1
      answer(true)
    }
  }
}
