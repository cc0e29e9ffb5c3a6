/** A gate that opens once: handlers of a case wait at it until the case has seen what it wants to see. */
export class Latch {
  readonly #opened: Promise<void>
  #resolve: () => void = () => undefined

  constructor() {
    this.#opened = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  open(): void {
    this.#resolve()
  }

  passed(): Promise<void> {
    return this.#opened
  }
}
