/** A gate that opens once: handlers of a case wait at it until the case has seen what it wants to see. */
export class Latch {
  readonly #opening = Promise.withResolvers<void>()

  open(): void {
    this.#opening.resolve()
  }

  passed(): Promise<void> {
    return this.#opening.promise
  }
}
