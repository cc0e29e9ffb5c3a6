/** How many of the latest are kept for `health()`. */
const kept = 10

/** The warnings of a subscription; the same one is not emitted twice in a row. */
export class Warnings {
  readonly #tell: (message: string) => void
  readonly #latest: { readonly at: string; readonly message: string }[] = []

  constructor(tell: (message: string) => void) {
    this.#tell = tell
  }

  add(message: string): void {
    if (this.#latest.at(-1)?.message === message) return
    this.#latest.push({ at: new Date().toISOString(), message })
    if (this.#latest.length > kept) this.#latest.shift()
    this.#tell(message)
  }

  /** The latest, oldest first, with the time of each. */
  list(): readonly { readonly at: string; readonly message: string }[] {
    return [...this.#latest]
  }
}
